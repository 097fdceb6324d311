// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/outside.hpp"

#include <unistd.h>

#include "mount/process.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::cli {

namespace {

SpawnRequest request_for(const std::string& program, const std::vector<std::string>& arguments,
                         const std::string& remedy) {
    const auto found = find_program(program);
    if (!found) {
        throw Error("run", program, "there is no such program here").as(Fault::unsupported).with_hint(remedy);
    }
    SpawnRequest request;
    request.program = *found;
    request.arguments = {program};
    request.arguments.insert(request.arguments.end(), arguments.begin(), arguments.end());
    for (char** variable = environ; *variable != nullptr; ++variable)
        request.environment.emplace_back(*variable);
    return request;
}

std::string text_of(const Fd& file) {
    if (::lseek(file.get(), 0, SEEK_SET) != 0) throw Error::from_errno("read", "output");
    return read_all(file.get(), "output");
}

}  // namespace

OutsideResult run_outside(const std::string& program, const std::vector<std::string>& arguments,
                          std::string_view input, const std::string& remedy, int file) {
    SpawnRequest request = request_for(program, arguments, remedy);
    const Fd in = memory_file("in", input);
    const Fd out = memory_file("out", "");
    const Fd err = memory_file("err", "");
    request.streams = {in.get(), out.get(), err.get()};
    if (file >= 0) request.descriptors = {file};
    OutsideResult result;
    result.status = exit_code_of(wait_for(spawn(request)));
    result.out = text_of(out);
    result.err = text_of(err);
    return result;
}

OutsidePeer start_outside(const std::string& program, const std::vector<std::string>& arguments,
                          const std::string& remedy) {
    SpawnRequest request = request_for(program, arguments, remedy);
    Pipe to = make_pipe();
    Pipe from = make_pipe();
    request.streams = {to.read_end.get(), from.write_end.get(), STDERR_FILENO};
    request.process_group = ::getpgrp();  // ssh may ask for a password on the terminal
    OutsidePeer peer;
    peer.process = spawn(request);
    peer.to = std::move(to.write_end);
    peer.from = std::move(from.read_end);
    return peer;
}

}  // namespace pwstore::cli
