// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace pwstore {

/// Work that makes more work while it is done: a stack of tasks that several threads empty together. Youngest
/// first, so that a walk of directories goes deep before it goes wide and few of them are open at a time.
template <typename Task>
class TaskStack {
 public:
    /// Add tasks; the last one is taken first. Called before run() or by a task.
    void push(std::vector<Task>& tasks) {
        if (tasks.empty()) return;
        {
            const std::scoped_lock lock(mutex_);
            for (Task& task : tasks)
                waiting_.push_back(std::move(task));
        }
        changed_.notify_all();
        tasks.clear();
    }

    void push(Task task) {
        {
            const std::scoped_lock lock(mutex_);
            waiting_.push_back(std::move(task));
        }
        changed_.notify_one();
    }

    /// Call `act(worker, task)` for every task, also for those that tasks add, on `threads` threads (worker 0
    /// is the caller's). The first exception ends the work: what is waiting is dropped, what runs ends, then
    /// it is rethrown.
    template <typename Act>
    void run(unsigned threads, const Act& act) {
        const auto work = [&](unsigned worker) {
            while (std::optional<Task> task = take()) {
                try {
                    act(worker, *task);
                } catch (...) {
                    fail(std::current_exception());
                }
                task.reset();
                end_one();
            }
        };
        {
            std::vector<std::jthread> pool;
            for (unsigned worker = 1; worker < threads; ++worker)
                pool.emplace_back(work, worker);
            work(0);
        }
        if (failure_) std::rethrow_exception(failure_);
    }

 private:
    std::optional<Task> take() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !waiting_.empty() || running_ == 0 || failure_ != nullptr; });
        if (waiting_.empty() || failure_ != nullptr) return std::nullopt;
        ++running_;
        std::optional<Task> task(std::move(waiting_.back()));
        waiting_.pop_back();
        return task;
    }

    void end_one() {
        bool last = false;
        {
            const std::scoped_lock lock(mutex_);
            last = --running_ == 0 && waiting_.empty();
        }
        if (last) changed_.notify_all();
    }

    void fail(std::exception_ptr failure) {
        {
            const std::scoped_lock lock(mutex_);
            if (!failure_) failure_ = std::move(failure);
        }
        changed_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Task> waiting_;
    size_t running_ = 0;  ///< tasks taken and not ended; they may still add some
    std::exception_ptr failure_;
};

}  // namespace pwstore
