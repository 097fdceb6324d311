// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "store/base/defect.hpp"
#include "tests/support/test_dir.hpp"
#include "transact/wire.hpp"
#include "transact/wire_json.hpp"

namespace pwstore {
namespace {

using test::TestDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Remembers what it was told, answers as it is set.
class RecordingDialogue : public Dialogue {
 public:
    void progress(const std::string& step, const std::string& label, uint64_t done, uint64_t total) override {
        lines.push_back("progress " + step + " " + label + " " + std::to_string(done) + "/" +
                        std::to_string(total));
    }
    void message(Severity, const std::string& text) override { lines.push_back("message " + text); }
    void script_output(const std::string& agent, const std::string& line) override {
        lines.push_back("script " + agent + ": " + line);
    }
    bool confirm(const std::vector<ContainerPlan>& plans) override {
        confirmed = plans;
        return yes;
    }
    int ask(const Question& question) override {
        if (on_ask) on_ask();
        asked = question;
        return answer;
    }
    std::vector<std::string> lines;
    std::vector<ContainerPlan> confirmed;
    Question asked;
    bool yes = true;
    int answer = 0;
    std::function<void()> on_ask;
};

/// A worker written against the documented lines, not against wire.cpp. `body` may use say(), hear() and
/// request.
std::string fake_worker(const TestDir& dir, const std::string& body) {
    const std::string path = dir.write("worker", R"(#!/usr/bin/env python3
import json, os, signal, socket, sys, time
assert sys.argv[1] == "--socket"
wire = socket.socket(fileno=int(sys.argv[2]))
lines = wire.makefile("r", encoding="ascii", newline="\n")
def say(message): wire.sendall(json.dumps(message).encode() + b"\n")
def hear(): return json.loads(lines.readline())
request = hear()["request"]
EMPTY = dict(changed=True, declined=False, refreshed=False, unchanged=0, transaction=7, containers=[], file_bytes=0, new_disk_bytes=0, notes=[])
)" + body);
    EXPECT_EQ(::chmod(path.c_str(), 0700), 0);
    return path;
}

TransactionRequest sample_request() {
    TransactionRequest request;
    request.command = "pwstore -Syucb --target=base";
    request.refresh = 2;
    request.no_confirm = true;
    ContainerRequest container;
    container.name = "base";
    container.create = true;
    container.type = ContainerType::aggregate;
    container.dependencies = {"a", "b"};
    container.packages.install = {"x\xff\n\x80y", "caf\xc3\xa9"};
    container.packages.cascade = true;
    container.packages.no_save = true;
    container.make_dependency = {"lib"};
    request.containers.push_back(container);
    PacmanManner& manner = request.as_pacman.emplace();
    manner.config = "/etc/p.conf";
    manner.download_only = true;
    manner.architectures = {"any"};
    InPlaceRequest& place = request.in_place.emplace();
    place.root = "/r\xffoot";
    place.hook_dirs = {"/a", "/b"};
    place.db_only = true;
    return request;
}

ContainerPlan sample_plan() {
    ContainerPlan plan;
    plan.container = "editor";
    plan.type = ContainerType::aggregate;
    plan.created = true;
    PlanStep step;
    step.kind = StepKind::remove;
    step.package.name = "neo\xffvim";
    step.package.build_date = -5;
    step.package.installed_size = UINT64_MAX;
    step.to_download = 77;
    step.package.depends = {"glibc", "lua>=5"};
    step.explicitly = false;
    plan.plan.steps.push_back(step);
    plan.plan.notes = {"foo is up to date"};
    return plan;
}

TEST(WireJson, RequestSurvivesTheTrip) {
    wire::Line line;
    line.request = sample_request();
    const std::string text = wire::encode(line);
    EXPECT_EQ(text.find('\n'), std::string::npos);
    const wire::Line back = wire::decode(text);
    ASSERT_TRUE(back.request);
    EXPECT_EQ(back.request->refresh, 2U);
    EXPECT_TRUE(back.request->no_confirm);
    ASSERT_EQ(back.request->containers.size(), 1U);
    const ContainerRequest& container = back.request->containers[0];
    EXPECT_EQ(container.type, ContainerType::aggregate);
    EXPECT_THAT(container.dependencies, ElementsAre("a", "b"));
    EXPECT_THAT(container.packages.install, ElementsAre("x\xff\n\x80y", "caf\xc3\xa9"));
    EXPECT_TRUE(container.packages.cascade);
    EXPECT_TRUE(container.packages.no_save);
    EXPECT_FALSE(container.packages.recursive);
    EXPECT_THAT(container.make_dependency, ElementsAre("lib"));
    EXPECT_THAT(container.make_explicit, ElementsAre());
    ASSERT_TRUE(back.request->as_pacman);
    EXPECT_EQ(back.request->as_pacman->config, "/etc/p.conf");
    EXPECT_TRUE(back.request->as_pacman->download_only);
    EXPECT_FALSE(back.request->as_pacman->db_only);
    EXPECT_THAT(back.request->as_pacman->architectures, ElementsAre("any"));
    ASSERT_TRUE(back.request->in_place);
    EXPECT_EQ(back.request->in_place->root, "/r\xffoot");
    EXPECT_THAT(back.request->in_place->hook_dirs, ElementsAre("/a", "/b"));
    EXPECT_TRUE(back.request->in_place->db_only);
    EXPECT_FALSE(back.request->in_place->no_scriptlet);
    EXPECT_EQ(wire::encode(back), text);
}

TEST(WireJson, PlanSurvivesTheTrip) {
    wire::Line line;
    line.confirm = {sample_plan()};
    const wire::Line back = wire::decode(wire::encode(line));
    ASSERT_TRUE(back.confirm);
    const PlanStep& step = back.confirm->at(0).plan.steps.at(0);
    EXPECT_EQ(step.kind, StepKind::remove);
    EXPECT_EQ(step.package.name, "neo\xffvim");
    EXPECT_EQ(step.package.build_date, -5);
    EXPECT_EQ(step.package.installed_size, UINT64_MAX);
    EXPECT_EQ(step.to_download, 77U);
    EXPECT_FALSE(step.explicitly);
    EXPECT_EQ(wire::encode(back), wire::encode(line));
}

TEST(WireJson, EveryByteIsAString) {
    std::string all;
    for (int byte = 0; byte < 256; ++byte)
        all += static_cast<char>(byte);
    wire::Line line;
    line.message = {Severity::warning, all};
    EXPECT_EQ(wire::decode(wire::encode(line)).message->text, all);
}

TEST(WireJson, ErrorKeepsTextHintAndFault) {
    Error error("link", "usr/lib/x: y", "No space left on device");
    error.within("install 'mesa'").with_hint("free some").as(Fault::busy);
    const Error back = wire::error_of(wire::failure_of(error));
    EXPECT_STREQ(back.what(), error.what());
    EXPECT_EQ(back.hint(), "free some");
    EXPECT_EQ(back.fault(), Fault::busy);
}

TEST(WireJson, NonsenseIsRefused) {
    for (const char* text :
         {"", "{", "[]", "{}", "7", R"({"what":1})", R"({"answer":"1"})", R"({"answer":99999999999})",
          R"({"progress":{"step":"a","label":"b","done":-1,"total":0}})",
          R"({"message":{"severity":9,"text":"x"}})", R"({"message":{"text":"x"}})",
          R"({"message":{"severity":0,"text":"\u1234"}})", R"({"report":null})", R"({"answer":1,"what":2})",
          R"({"confirm":{}})"}) {
        try {
            (void)wire::decode(text);
            ADD_FAILURE() << "accepted: " << text;
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::corrupt) << text;
        }
    }
}

TEST(Wire, ReportComesBack) {
    const TestDir dir;
    const std::string program = fake_worker(dir, R"(
say({"progress": dict(step="ingest", label="bash", done=1, total=2)})
say({"message": dict(severity=2, text="careful")})
say({"script": dict(agent="bash.install", line="caf\u00c3\u00a9")})
EMPTY["notes"] = [dict(subject=request["command"], text=request["containers"][0]["packages"]["install"][0])]
say({"report": EMPTY})
)");
    RecordingDialogue dialogue;
    const TransactionReport report = run_in_worker(program, sample_request(), dialogue);
    EXPECT_EQ(report.transaction, 7U);
    EXPECT_EQ(report.notes.at(0).subject, "pwstore -Syucb --target=base");
    EXPECT_EQ(report.notes.at(0).text, "x\xff\n\x80y");
    EXPECT_THAT(dialogue.lines, ElementsAre("progress ingest bash 1/2", "message careful",
                                            "script bash.install: caf\xc3\xa9"));
}

TEST(Wire, QuestionGoesThereAndBack) {
    const TestDir dir;
    const std::string program = fake_worker(dir, R"(
say({"confirm": []})
confirmed = hear()["answer"]
say({"ask": dict(kind=6, text="which one?", choices=["a", "b", "c"], default_answer=0)})
EMPTY["file_bytes"] = hear()["answer"] + 100 * confirmed
say({"report": EMPTY})
)");
    RecordingDialogue dialogue;
    dialogue.answer = 2;
    EXPECT_EQ(run_in_worker(program, {}, dialogue).file_bytes, 102U);
    EXPECT_EQ(dialogue.asked.kind, Question::Kind::select_provider);
    EXPECT_THAT(dialogue.asked.choices, ElementsAre("a", "b", "c"));
    dialogue.yes = false;
    EXPECT_EQ(run_in_worker(program, {}, dialogue).file_bytes, 2U);
}

TEST(Wire, ErrorOfTheWorkerIsThrown) {
    const TestDir dir;
    const std::string program = fake_worker(
        dir, R"(say({"error": dict(fault=2, text="lock 'base': held by someone", hint="wait")}))");
    RecordingDialogue dialogue;
    try {
        (void)run_in_worker(program, {}, dialogue);
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "lock 'base': held by someone");
        EXPECT_EQ(error.hint(), "wait");
        EXPECT_EQ(error.fault(), Fault::busy);
    }
}

TEST(Wire, DefectOfTheWorkerIsNoError) {
    const TestDir dir;
    const std::string program = fake_worker(dir, R"(say({"defect": "fault of pwstore while x: y"}))");
    RecordingDialogue dialogue;
    EXPECT_THROW((void)run_in_worker(program, {}, dialogue), Defect);
}

std::string failure_of_worker(const TestDir& dir, const std::string& body, Fault expected = Fault::failure) {
    RecordingDialogue dialogue;
    try {
        (void)run_in_worker(fake_worker(dir, body), {}, dialogue);
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), expected);
        return error.what();
    }
    ADD_FAILURE() << "no error";
    return {};
}

TEST(Wire, DeathOfTheWorkerIsSaidClearly) {
    const TestDir dir;
    EXPECT_THAT(failure_of_worker(dir, "os.kill(os.getpid(), signal.SIGKILL)"),
                HasSubstr("killed by signal 9 (Killed)"));
    EXPECT_THAT(failure_of_worker(dir, "os._exit(42)"), HasSubstr("exit code 42"));
    EXPECT_THAT(failure_of_worker(dir, "wire.sendall(b'{\"report')"), HasSubstr("before it answered"));
    EXPECT_THAT(failure_of_worker(dir, "wire.sendall(b'garbage\\n')", Fault::corrupt),
                HasSubstr("conversation"));
}

TEST(Wire, OrphanWithTheSocketDoesNotHoldUsUp) {
    const TestDir dir;
    const auto begin = std::chrono::steady_clock::now();
    const std::string pid_file = dir.path("orphan");
    EXPECT_THAT(failure_of_worker(dir, "child = os.fork()\nif child == 0:\n    time.sleep(60)\nopen('" +
                                           pid_file + "', 'w').write(str(child))\nos._exit(1)"),
                HasSubstr("exit code 1"));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
    ::kill(static_cast<pid_t>(std::stol(dir.read("orphan"))), SIGKILL);
}

TEST(Wire, MissingProgramIsNamed) {
    const TestDir dir;
    RecordingDialogue dialogue;
    try {
        (void)run_in_worker(dir.path("absent"), {}, dialogue);
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.error_number(), ENOENT);
        EXPECT_THAT(error.what(), HasSubstr("absent"));
    }
}

TEST(Wire, InterruptReachesTheWorkerAsTerminate) {
    const TestDir dir;
    const std::string body = R"(
def stop(*_):
    say({"error": dict(fault=6, text="stop: in good order", hint="")})
    os._exit(1)
signal.signal(signal.SIGTERM, stop)
say({"ask": dict(kind=3, text="?", choices=[], default_answer=0)})
time.sleep(60)
)";
    for (const int number : {SIGINT, SIGTERM}) {
        RecordingDialogue dialogue;
        dialogue.on_ask = [&] {
            EXPECT_FALSE(transaction_interrupted());
            ::raise(number);
            EXPECT_TRUE(transaction_interrupted()) << "whoever would ask now must know";
        };
        try {
            (void)run_in_worker(fake_worker(dir, body), {}, dialogue);
            FAIL() << "no error";
        } catch (const Error& error) {
            EXPECT_STREQ(error.what(), "stop: in good order");
            EXPECT_EQ(error.fault(), Fault::interrupted);
        }
        EXPECT_FALSE(transaction_interrupted());
    }
    struct sigaction now {};
    ::sigaction(SIGINT, nullptr, &now);
    EXPECT_EQ(now.sa_handler, SIG_DFL) << "the handler outlived the transaction";
}

TEST(Wire, WorkerKilledByOurInterruptCountsAsInterrupted) {
    const TestDir dir;
    RecordingDialogue dialogue;
    dialogue.on_ask = [] { ::raise(SIGINT); };
    try {
        (void)run_in_worker(fake_worker(dir, R"(
say({"ask": dict(kind=3, text="?", choices=[], default_answer=0)})
time.sleep(60))"),
                            {}, dialogue);
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::interrupted);
    }
}

TEST(Wire, ExceptionOfTheDialogueEndsTheWorker) {
    const TestDir dir;
    const std::string program =
        fake_worker(dir, "open('" + dir.path("pid") + R"(', "w").write(str(os.getpid()))
say({"ask": dict(kind=3, text="?", choices=[], default_answer=0)})
time.sleep(60))");
    RecordingDialogue dialogue;
    dialogue.on_ask = [] { throw Error("ask", "", "no"); };
    EXPECT_THROW((void)run_in_worker(program, {}, dialogue), Error);
    EXPECT_EQ(::kill(static_cast<pid_t>(std::stol(dir.read("pid"))), 0), -1);
}

TEST(Wire, WorkerDiesWithItsCommandLine) {
    const TestDir dir;
    const std::string program =
        fake_worker(dir, "open('" + dir.path("pid") + "', 'w').write(str(os.getpid()))\ntime.sleep(60)");
    const pid_t child = ::fork();
    if (child == 0) {
        RecordingDialogue dialogue;
        (void)run_in_worker(program, {}, dialogue);
        ::_exit(0);
    }
    const auto exists = [&] {
        return ::access(dir.path("pid").c_str(), F_OK) == 0 && !dir.read("pid").empty();
    };
    for (int i = 0; i < 500 && !exists(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const auto worker = static_cast<pid_t>(std::stol(dir.read("pid")));
    ::kill(child, SIGKILL);
    int alive = 0;
    for (int i = 0; i < 500; ++i) {
        alive = ::kill(worker, 0);
        std::string state;
        if (const auto* const file = std::fopen(("/proc/" + std::to_string(worker) + "/stat").c_str(), "r");
            file == nullptr) {
            alive = -1;
        } else {
            std::array<char, 200> text{};
            (void)!std::fread(text.data(), 1, text.size() - 1, const_cast<FILE*>(file));
            std::fclose(const_cast<FILE*>(file));
            if (std::string(text.data()).find(") Z") != std::string::npos) alive = -1;
        }
        if (alive != 0) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    EXPECT_EQ(alive, -1) << "the worker lives on";
}

// --- The worker's side
// ---------------------------------------------------------------------------------------------

/// Both ends over a socket pair, the worker's in a thread.
struct Served {
    explicit Served(TransactionRunner runner) {
        int pair[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        ours = Fd(pair[0]);
        thread = std::jthread(
            [this, runner = std::move(runner), fd = pair[1]] { code = serve_worker(Fd(fd), runner); });
    }
    void say(const wire::Line& line) const {
        const std::string text = wire::encode(line) + "\n";
        EXPECT_EQ(::write(ours.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }
    wire::Line hear() const {
        std::string text;
        char c = 0;
        while (::read(ours.get(), &c, 1) == 1 && c != '\n')
            text += c;
        return wire::decode(text);
    }
    Fd ours;
    int code = -1;
    std::jthread thread;
};

wire::Line request_line() {
    wire::Line line;
    line.request = sample_request();
    return line;
}

TEST(WireWorker, AnswersWithTheReport) {
    Served served([](const TransactionRequest& request, Dialogue& dialogue) {
        dialogue.script_output("agent", "hello");
        TransactionReport report;
        report.declined = !dialogue.confirm({sample_plan()});
        report.transaction =
            static_cast<uint64_t>(dialogue.ask({Question::Kind::select_provider, "?", {"a"}, 0}));
        report.notes.push_back({request.command, ""});
        return report;
    });
    served.say(request_line());
    EXPECT_EQ(served.hear().script->line, "hello");
    EXPECT_EQ(served.hear().confirm->at(0).container, "editor");
    wire::Line answer;
    answer.answer = 0;
    served.say(answer);
    EXPECT_EQ(served.hear().ask->text, "?");
    answer.answer = 5;
    served.say(answer);
    const wire::Line last = served.hear();
    ASSERT_TRUE(last.report);
    EXPECT_TRUE(last.report->declined);
    EXPECT_EQ(last.report->transaction, 5U);
    EXPECT_EQ(last.report->notes.at(0).subject, sample_request().command);
    served.thread.join();
    EXPECT_EQ(served.code, 0);
}

TEST(WireWorker, ErrorsTravel) {
    Served served([](const TransactionRequest&, Dialogue&) -> TransactionReport {
        throw Error("resolve", "base", "no such package").with_hint("look for it").as(Fault::usage);
    });
    served.say(request_line());
    const wire::Line last = served.hear();
    ASSERT_TRUE(last.error);
    EXPECT_EQ(last.error->text, "resolve 'base': no such package");
    EXPECT_EQ(last.error->hint, "look for it");
    EXPECT_EQ(last.error->fault, Fault::usage);
    served.thread.join();
    EXPECT_EQ(served.code, 1);
}

TEST(WireWorker, AForeignExceptionSaysWhereItHappened) {
    Served served([](const TransactionRequest&, Dialogue& dialogue) -> TransactionReport {
        dialogue.progress("assemble", "base", 0, 1);
        throw std::out_of_range("map::at");
    });
    served.say(request_line());
    (void)served.hear();
    const wire::Line last = served.hear();
    ASSERT_TRUE(last.defect);
    EXPECT_EQ(*last.defect, "fault of pwstore while carrying out '" + sample_request().command +
                                "', at 'assemble base': map::at");
    served.thread.join();
    EXPECT_EQ(served.code, 1);
}

TEST(WireWorker, CommandLineGoneWhileAsking) {
    bool refused = false;
    {
        Served served([&](const TransactionRequest&, Dialogue& dialogue) -> TransactionReport {
            try {
                (void)dialogue.confirm({});
            } catch (const Error& error) {
                refused = error.fault() == Fault::interrupted;
                throw;
            }
            return {};
        });
        served.say(request_line());
        (void)served.hear();
        served.ours.reset();
    }
    EXPECT_TRUE(refused) << "a question without anyone to answer it counted as an answer";
}

TEST(WireWorker, ProgressIsThinnedButItsEndsAreKept) {
    Served served([](const TransactionRequest&, Dialogue& dialogue) {
        for (uint64_t i = 0; i <= 10000; ++i)
            dialogue.progress("ingest", "x", i, 10000);
        return TransactionReport{};
    });
    served.say(request_line());
    std::vector<uint64_t> seen;
    for (;;) {
        const wire::Line line = served.hear();
        if (!line.progress) break;
        seen.push_back(line.progress->done);
    }
    ASSERT_GE(seen.size(), 2U);
    EXPECT_LT(seen.size(), 1000U);
    EXPECT_EQ(seen.front(), 0U);
    EXPECT_EQ(seen.back(), 10000U);
}

}  // namespace
}  // namespace pwstore
