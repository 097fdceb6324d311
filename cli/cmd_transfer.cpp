// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <thread>

#include "cli/cmd.hpp"
#include "cli/image_input.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "cli/registry.hpp"
#include "cli/remote.hpp"
#include "cli/signature.hpp"
#include "cli/transfer.hpp"
#include "mount/process.hpp"
#include "store/base/defect.hpp"
#include "store/base/error.hpp"
#include "store/base/lock.hpp"
#include "store/base/path_at.hpp"
#include "store/base/random_id.hpp"
#include "store/base/staged_file.hpp"
#include "store/image/image_format.hpp"

namespace pwstore::cli {

namespace {

using nlohmann::json;

Error wrong(const std::string& cause) {
    Error error("read the command line", "", cause);
    return error.as(Fault::usage);
}

std::string digest_text(const Sha256& sha256) {
    return "sha256:" + sha256.hex();
}

// --- export
// --------------------------------------------------------------------------------------------------

/// Where an image goes: standard output, or a file that appears whole or not at all.
class Output {
 public:
    Output(const Context& context, const std::optional<std::string>& path) {
        if (!path || *path == "-") {
            if (context.io.out_tty) {
                throw wrong("an image is nothing for a terminal")
                    .with_hint("write it to a file with -o FILE, or send it through a pipe");
            }
            return;
        }
        const auto [directory, name] = split_path(*path);
        directory_ =
            open_at(AT_FDCWD, directory.empty() ? (path->front() == '/' ? "/" : ".") : std::string(directory),
                    O_RDONLY | O_DIRECTORY);
        file_.emplace(directory_.get(), std::string(name));
    }
    [[nodiscard]] int fd() const { return file_ ? file_->fd() : STDOUT_FILENO; }
    [[nodiscard]] bool is_file() const { return file_.has_value(); }
    void finish() {
        if (file_) file_->publish();
    }

 private:
    Fd directory_;
    std::optional<StagedFile> file_;
};

void print_export(const Context& context, const std::string& what, const image::ExportResult& result,
                  std::ostream& out) {
    out << fmt::format("{}: {} in {} layers\n", context.out.bold(what), human_size(result.bytes),
                       result.layers);
    if (result.left_out != 0)
        out << fmt::format("{} of {} files are there already and left out\n", result.left_out,
                           result.contents);
    if (result.home_left_out != 0)
        out << fmt::format("{} sockets of the home are left out\n", result.home_left_out);
    out << fmt::format("image   {}\ncontent {}\n", digest_text(result.manifest), digest_text(result.content));
}

image::ExportRequest export_request(Context& context, const Arguments& arguments) {
    const GenerationName name = generation_named(context, arguments.operands().at(0));
    image::ExportRequest request;
    request.generation = {name.container.str(), name.generation};
    request.with_home = arguments.has("with-home");
    if (const auto path = arguments.value("against"))
        request.against = decode_have(read_file(AT_FDCWD, *path));
    if (arguments.value("compress") == "gzip") request.packing = image::LayerPacking::gzip;
    if (request.against && request.packing != image::LayerPacking::zstd)
        throw wrong("'--compress' is for whole images, which '--against' does not make");
    if (const auto key = arguments.value("sign")) {
        (void)open_at(AT_FDCWD, *key, O_RDONLY);  // rather now than when all is written
        request.sign = [key = *key](const std::string& text) { return sign(text, key); };
    }
    return request;
}

int run_export(Context& context, const Arguments& arguments) {
    Output output(context, arguments.value("output"));
    const image::ExportRequest request = export_request(context, arguments);
    ProgressScreen screen(context);
    const image::ExportResult result = context.backend.export_image(request, output.fd(), screen);
    screen.clear();
    output.finish();
    if (arguments.has("json")) {
        (output.is_file() ? context.io.out : context.io.err) << export_json(result);
    } else if (!context.quiet) {
        print_export(context, arguments.operands()[0], result,
                     output.is_file() ? context.io.out : context.io.err);
    }
    return kDone;
}

Option compress_option() {
    return {"compress",
            0,
            "HOW",
            "how layers are compressed: zstd, or gzip for programs that know nothing else",
            Completes::nothing,
            {"zstd", "gzip"}};
}
Option home_option() {
    return {"with-home", 0, "", "its home goes along, as it is now"};
}

Command export_command() {
    Command it{"export", {}, "Hosts", "write a container as an OCI image"};
    it.description = {
        "One file with everything: packages, changes, package database, policy. podman, skopeo and "
        "registries take it; umoci and older programs want --compress gzip. 'pwstore import' makes the same "
        "container of it. The same generation gives the same bytes on every host. NAME@N is generation N, or "
        "a "
        "snapshot.",
        "--against leaves out every file that another host has, as 'pwstore have' wrote it down there; only "
        "pwstore can read that.",
        "--sign takes an SSH key; who trusts it has it in the file allowed_signers of the configuration "
        "directory, as "
        "ssh-keygen(1) describes it.",
        "--with-home adds the home: files, modes and times, but no owners, set-id bits, extended attributes "
        "and sockets. On import it "
        "becomes the home of the new container; other programs see a folder that they do not need."};
    it.operands = {{"NAME[@N]", Completes::generation}};
    it.options = {{"output", 'o', "FILE", "write it there; '-' is standard output", Completes::file},
                  {"against", 0, "FILE", "leave out what the list of 'pwstore have' names", Completes::file},
                  {"sign", 0, "KEY", "sign it with this SSH key", Completes::file},
                  compress_option(),
                  home_option(),
                  json_option()};
    it.examples = {{"pwstore export editor -o editor.tar", "to a file"},
                   {"pwstore export editor@7 | ssh host podman load", "a generation, to another program"},
                   {"pwstore export editor --against b.have -o d.tar", "only what host b lacks"}};
    it.run = run_export;
    return it;
}

// --- import
// --------------------------------------------------------------------------------------------------

std::string allowed_signers() {
    return Directories::from_environment().config + "/allowed_signers";
}

void say(const Context& context, const std::string& text) {
    if (!context.quiet) context.io.err << text << '\n';
}

/// Nobody vouches for it, for this reason: the user decides.
void ask_or_refuse(const Context& context, const std::string& name, const Sha256& digest,
                   const std::string& cause, bool allow_unsigned) {
    if (allow_unsigned) return say(context, fmt::format("nobody vouches for the image: {}", cause));
    if (context.interactive() &&
        ask_yes_no(context, fmt::format("Nobody vouches for {}: {}. Import it?", digest_text(digest), cause),
                   false)) {
        return;
    }
    throw Error("import", printable(name), "nobody vouches for the image: " + cause)
        .as(Fault::refused)
        .with_hint(fmt::format("--expect {} when that is the digest you know, or --allow-unsigned",
                               digest_text(digest)));
}

/// Who says that this image is what it should be: the digest that the user gave, a key, or nobody.
void vouch(const Context& context, const image::Image& image, bool has_digest, bool allow_unsigned) {
    if (has_digest) return say(context, "the image has the digest that was given");
    const auto who = signer_of(image::signed_text(image.digest()), image.signature(), allowed_signers());
    if (who) return say(context, fmt::format("signed by {}", printable(*who)));
    const std::string cause =
        image.signature().empty() ? "it is not signed" : "its key is not in " + allowed_signers();
    ask_or_refuse(context, image.name(), image.digest(), cause, allow_unsigned);
}

/// Before anything is fetched; whoever imports looks again.
void expect_free(Context& context, const ContainerName& name) {
    const std::vector<ContainerState> all = context.backend.containers();
    if (std::none_of(all.begin(), all.end(),
                     [&](const ContainerState& one) { return one.name == name.str(); }))
        return;
    throw Error("import", name.str(), "there is a container of this name")
        .as(Fault::usage)
        .with_hint("import it under another name with --as NAME");
}

ImportRequest import_request(const Context& context, const Arguments& arguments) {
    ImportRequest request;
    request.command = context.command_line;
    if (const auto name = arguments.value("as")) request.name.emplace(*name);
    request.which = arguments.value("image").value_or("");
    if (const auto text = arguments.value("expect")) {
        request.expect = Sha256::from_hex(text->starts_with("sha256:") ? text->substr(7) : *text);
    }
    request.vouch = [&context, has_digest = request.expect.has_value(),
                     allow = arguments.has("allow-unsigned")](const image::Image& image) {
        vouch(context, image, has_digest, allow);
    };
    return request;
}

int tell_import(const Context& context, const Arguments& arguments, const char* kind,
                const ImportResult& result) {
    context.backend.log(fmt::format("{}: {}@{} from {}", context.command_line, result.container,
                                    result.generation, digest_text(result.digest)));
    if (arguments.has("json")) {
        context.io.out << import_json(kind, result);
        return kDone;
    }
    if (context.quiet) return kDone;
    context.io.out << fmt::format("{}: generation {}, {} of files, {} new on disk\n",
                                  context.out.bold(result.container), result.generation,
                                  human_size(result.stats.bytes), human_size(result.stats.new_bytes));
    if (result.is_foreign)
        context.io.out << "the image is not one of pwstore's: nothing of it is known as a package\n";
    for (const std::string& note : result.notes)
        context.io.out << shown(note) << '\n';
    if (result.has_home) context.io.out << "its home came along\n";
    if (result.has_proposal) {
        context.io.out << fmt::format(
            "{0}: pwstore policy diff {1}, then pwstore policy accept {1}\n",
            result.is_foreign
                ? "it says how it is run (variables, command, directory), which is not in use yet"
                : "it asks for permissions that it does not have",
            result.container);
    }
    return kDone;
}

/// An image is put aside in the data directory, a fetched one in the cache before that.
void expect_space(const std::string& directory, uint64_t bytes, const std::string& what) {
    std::string place = directory;
    struct statvfs status {};
    while (::statvfs(place.c_str(), &status) != 0) {  // not made yet
        if (errno != ENOENT || place.size() < 2) return;
        place.resize(std::max<size_t>(split_path(place).first.size(), 1));
    }
    const uint64_t free = uint64_t{status.f_bavail} * status.f_frsize;
    if (bytes <= free) return;
    throw Error("check disk space", directory,
                fmt::format("not enough free disk space: {} are needed for {}, {} are free",
                            human_size(bytes), what, human_size(free)))
        .as(Fault::refused)
        .with_hint("nothing was changed; 'pwstore gc' removes what nothing uses any more");
}

int run_import(Context& context, const Arguments& arguments) {
    const std::string path = arguments.operands().at(0);
    ImportRequest request = import_request(context, arguments);
    if (path == "-" && context.io.in_tty) throw wrong("an image does not come from a terminal");
    const ImageInput input(path);
    request.in = input.fd();
    if (request.name) expect_free(context, *request.name);
    const std::string data = Directories::from_environment().data;
    expect_space(data, input.size(), "the image");
    ProgressScreen screen(context);
    try {
        const ImportResult result = context.backend.import_image(request, screen);
        screen.clear();
        return tell_import(context, arguments, "import", result);
    } catch (Error& error) {
        if (error.error_number() == ENOSPC)
            error.within(fmt::format("import '{}' into '{}'", printable(input.name()), printable(data)));
        // What is about the image alone does not know where it came from.
        if (std::string_view(error.what()).starts_with("read "))
            error.within(fmt::format("import '{}'", printable(input.name())));
        throw;
    }
}

std::vector<Option> import_options() {
    return {{"as", 0, "NAME", "name of the container; otherwise as the image says"},
            {"image", 0, "WHICH", "of several images: its name, digest, or platform (linux/arm64)"},
            {"expect", 0, "DIGEST", "the image's digest (sha256:…): another one is refused"},
            {"allow-unsigned", 0, "", "also when nobody vouches for it"},
            noconfirm_option(),
            json_option()};
}

Command import_command() {
    Command it{"import", {}, "Hosts", "make a container of an image"};
    it.description = {
        "FILE is what 'pwstore export' wrote, or any other OCI image-layout or docker archive. '-' is "
        "standard input. "
        "Every byte is hashed on its way in. The container is a base: it stands for itself.",
        "Somebody has to vouch for the image: a key in allowed_signers, the digest that you give, or you, "
        "when you are "
        "asked. The permissions that it asks for are a proposal, which 'pwstore policy' shows; it runs with "
        "those of a "
        "new container until you accept them.",
        "A home that travels with the image becomes the container's; when there is a home of that name with "
        "files in "
        "it, nothing is imported."};
    it.operands = {{"FILE", Completes::file}};
    it.options = import_options();
    it.examples = {
        {"pwstore import editor.tar", "as it is called"},
        {"pwstore import --as other --expect sha256:1f… editor.tar", "under another name, and just this one"},
        {"podman save --format oci-archive debian | pwstore import - --as debian --allow-unsigned",
         "from another program"}};
    it.run = run_import;
    return it;
}

// --- have
// ----------------------------------------------------------------------------------------------------

int run_have(Context& context, const Arguments&) {
    if (context.io.out_tty)
        throw wrong("a list of contents is nothing for a terminal").with_hint("pwstore have > FILE");
    write_all(STDOUT_FILENO, encode_have(context.backend.contents()), "standard output");
    return kDone;
}

Command have_command() {
    Command it{
        "have", {}, "Hosts", "write down which files this host has, for 'export --against' on another"};
    it.description = {"32 bytes for each file of the store: its SHA-256."};
    it.examples = {
        {"pwstore have > b.have", "carry it over, and there: pwstore export editor --against b.have"}};
    it.run = run_have;
    return it;
}

// --- ssh
// -----------------------------------------------------------------------------------------------------

struct Place {
    bool is_registry = false;
    std::string text;  ///< the host, or what follows "oci://"
    std::string name;  ///< of a container on the host
};

/// Runs `produce` with the writing end of a pipe while `consume` has the other. When both fail: a producer
/// that stopped early is why, unless it only found that its reader was gone.
template <typename Produce, typename Consume>
void through_pipe(const Produce& produce, const Consume& consume) {
    Pipe pipe = make_pipe();
    std::exception_ptr failure;
    bool is_consequence = false;
    std::thread producer([&] {
        try {
            produce(pipe.write_end.get());
        } catch (const Error& error) {
            failure = std::current_exception();
            is_consequence = error.error_number() == EPIPE;
        } catch (...) {
            failure = std::current_exception();
        }
        pipe.write_end.reset();
    });
    std::exception_ptr own;
    try {
        consume(pipe.read_end.get());
    } catch (...) {
        own = std::current_exception();
    }
    pipe.read_end.reset();
    producer.join();
    if (failure && !(own && is_consequence)) std::rethrow_exception(failure);
    if (own) std::rethrow_exception(own);
}

image::ExportResult send_image(Context& context, const image::ExportRequest& request, FrameWriter& out,
                               ProgressSink& sink) {
    image::ExportResult result;
    through_pipe([&](int to) { result = context.backend.export_image(request, to, sink); },
                 [&](int from) { copy_to_frames(from, out); });
    return result;
}

/// `after_it` sees to what the sender says when all is sent: that it failed, for example.
template <typename AfterIt>
ImportResult receive_image(Context& context, ImportRequest request, FrameReader& in, ProgressSink& sink,
                           const AfterIt& after_it) {
    ImportResult result;
    through_pipe(
        [&](int to) {
            copy_from_frames(in, to);
            after_it();
        },
        [&](int from) {
            request.in = from;
            result = context.backend.import_image(request, sink);
        });
    return result;
}

image::ExportResult send_to(Remote& remote, Context& context, const image::ExportRequest& request,
                            ProgressSink& sink) {
    try {
        return send_image(context, request, remote.out(), sink);
    } catch (const Error& error) {
        if (error.error_number() == EPIPE) (void)remote.answer();  // it takes no more, and says why
        throw;
    }
}

int push_ssh(Context& context, const Arguments& arguments, const Place& place) {
    if (arguments.has("compress"))
        throw wrong("'--compress' is for registries: a host gets only what it lacks");
    image::ExportRequest request = export_request(context, arguments);
    const std::string& host = place.text;
    (void)context.backend.details(ContainerName(request.generation.container));
    const std::string wanted = arguments.value("as").value_or(place.name);
    const ContainerName name(wanted.empty() ? request.generation.container : wanted);
    ProgressScreen screen(context);
    Remote remote(host, arguments.value("remote-program").value_or("pwstore"));
    remote.ask({{"request", "make room"}, {"name", name.str()}});
    (void)remote.answer();
    remote.ask({{"request", "have"}});
    (void)remote.answer();
    request.against = read_contents(remote.in());
    remote.ask({{"request", "import"}, {"name", name.str()}});
    const image::ExportResult result = send_to(remote, context, request, screen);
    const json answer = remote.answer();
    remote.finish();
    screen.clear();
    if (context.quiet) return kDone;
    print_export(context, arguments.operands()[0], result, context.io.out);
    context.io.out << fmt::format("{} on {}: generation {}\n", printable(answer.value("container", "")),
                                  printable(host), answer.value("generation", uint64_t{0}));
    return kDone;
}

int pull_ssh(Context& context, const Arguments& arguments, const std::string& host, const std::string& name) {
    ImportRequest request = import_request(context, arguments);
    // Whoever can log in there vouches for what is sent.
    request.vouch = {};
    if (!request.name) request.name.emplace(name.substr(0, name.find('@')));
    expect_free(context, *request.name);
    ProgressScreen screen(context);
    Remote remote(host, arguments.value("remote-program").value_or("pwstore"));
    const bool with_home = arguments.has("with-home");
    remote.ask({{"request", "export"}, {"name", name}, {"with_home", with_home}});
    write_contents(remote.out(), context.backend.contents());
    (void)remote.answer();
    const ImportResult result =
        receive_image(context, std::move(request), remote.in(), screen, [&] { (void)remote.answer(); });
    remote.finish();
    screen.clear();
    return tell_import(context, arguments, "pull", result);
}

// --- serve
// ---------------------------------------------------------------------------------------------------

/// As `history` shows it: from where.
std::string pushed_from(const Context& context) {
    const std::string connection = context.io.environment("SSH_CONNECTION").value_or("");
    return "pushed from " +
           (connection.empty() ? "another host" : printable(connection.substr(0, connection.find(' '))));
}

void serve_one(Context& context, const json& request, FrameReader& in, FrameWriter& out) {
    SilentSink sink;
    const auto what = request.value("request", "");
    if (what == "have") {
        const std::vector<Sha256> contents = context.backend.contents();
        out.line(json{{"contents", contents.size()}}.dump());
        write_contents(out, contents);
    } else if (what == "make room") {
        expect_free(context, ContainerName(request.value("name", "")));
        out.line(json{{"ok", true}}.dump());
    } else if (what == "import") {
        ImportRequest wish;
        wish.command = pushed_from(context);
        if (request.contains("name")) wish.name.emplace(request["name"].get<std::string>());
        // Who can log in as this user can do anything as this user: ssh has vouched for the sender.
        const ImportResult result = receive_image(context, std::move(wish), in, sink, [] {});
        context.backend.log(fmt::format("received {}@{}", result.container, result.generation));
        out.line(json{{"container", result.container}, {"generation", result.generation}}.dump());
    } else if (what == "export") {
        image::ExportRequest wish;
        wish.against = read_contents(in);
        wish.with_home = request.value("with_home", false);
        const GenerationName name = generation_named(context, request.value("name", ""));
        wish.generation = {name.container.str(), name.generation};
        (void)context.backend.details(name.container);  // a wrong name is an answer, not half an image
        out.line(json{{"ok", true}}.dump());
        const image::ExportResult result = send_image(context, wish, out, sink);
        out.line(json{{"bytes", result.bytes}}.dump());
    } else {
        throw Error("serve", "", fmt::format("'{}' is not known here", printable(what))).as(Fault::usage);
    }
}

int run_serve(Context& context, const Arguments& arguments) {
    if (!arguments.has("stdio")) throw wrong("'serve' needs --stdio");
    const BrokenPipesAreErrors broken_pipes_are_errors;
    FrameReader in(STDIN_FILENO);
    FrameWriter out(STDOUT_FILENO);
    write_all(STDOUT_FILENO, kGreeting, "standard output");
    for (;;) {
        std::string line;
        try {
            line = in.line();
        } catch (const Error&) {
            return kDone;  // the other side has what it wanted
        }
        try {
            serve_one(context, json::parse(line), in, out);
        } catch (const json::exception&) {
            out.line(json{{"error", "the request makes no sense"}}.dump());
            return kUsage;
        } catch (const Error& error) {
            out.line(json{{"error", printable(error.what())}, {"hint", printable(error.hint())}}.dump());
            return kFailed;
        } catch (const std::exception& problem) {
            const Defect defect = Defect::of(problem, "answering another host");
            out.line(json{{"error", defect.what()}, {"hint", Defect::hint()}}.dump());
            return kDefect;
        }
    }
}

Command serve_command() {
    Command it{"serve", {}, "Hosts", "answer 'push' and 'pull' of another host"};
    it.description = {
        "What 'pwstore push ssh://HOST' starts there. It does what its caller could do as this user."};
    it.options = {{"stdio", 0, "", "over standard input and output"}};
    it.examples = {{"ssh host pwstore serve --stdio", "what push and pull call"}};
    it.run = run_serve;
    return it;
}

// --- Registries
// ----------------------------------------------------------------------------------------------

/// A directory that goes with this object; skopeo wants names. Those of killed processes go with the next
/// one.
class WorkDirectory {
 public:
    WorkDirectory() : cache_(Directories::from_environment().cache), name_(kPrefix + random_id()) {
        make_directories(AT_FDCWD, cache_, 0700);
        directory_ = open_dir(AT_FDCWD, cache_);
        remove_abandoned();
        lock_.emplace(FileLock::acquire(directory_.get(), name_ + kLock, LockMode::exclusive, {}, "pwstore"));
        make_directory(directory_.get(), name_, 0700);
    }
    WorkDirectory(const WorkDirectory&) = delete;
    WorkDirectory& operator=(const WorkDirectory&) = delete;
    ~WorkDirectory() {
        try {
            remove(name_);
        } catch (const Error&) {
            // It lies in the cache, where anything may be removed.
        }
    }
    [[nodiscard]] std::string path(const std::string& name) const {
        return cache_ + "/" + name_ + "/" + name;
    }

 private:
    static constexpr const char* kPrefix = "transfer-";
    static constexpr const char* kLock = ".lock";

    /// The lock goes last: a directory without one is garbage.
    void remove(const std::string& name) const {
        (void)remove_tree(directory_.get(), name);
        (void)remove_file(directory_.get(), name + kLock);
    }
    void remove_abandoned() const {
        for (const DirectoryItem& item : list_directory(directory_.get())) {
            if (!item.name.starts_with(kPrefix)) continue;
            std::string name = item.name;
            if (name.ends_with(kLock)) name.resize(name.size() - std::string_view(kLock).size());
            const auto lock =
                FileLock::try_acquire(directory_.get(), name + kLock, LockMode::exclusive, "pwstore");
            if (lock) remove(name);
        }
    }

    std::string cache_, name_;
    Fd directory_;
    std::optional<FileLock> lock_;
};

int push_registry(Context& context, const Arguments& arguments, const std::string& where) {
    if (arguments.has("sign")) {
        throw wrong("a registry does not keep the signature of an image: '--sign' does not go with it")
            .with_hint(
                "push it without, and give the digest that is printed to 'pwstore pull --expect'; or send a "
                "signed file: pwstore export --sign KEY -o FILE");
    }
    const Registry registry(RegistryPlace::parse(where), arguments.has("insecure"));
    if (!registry.place().digest.empty())
        throw wrong("one pushes to a tag, not to a digest").with_hint("REPOSITORY:TAG");
    const image::ExportRequest request = export_request(context, arguments);
    (void)context.backend.details(ContainerName(request.generation.container));
    ProgressScreen screen(context);
    screen.progress("ask", registry.place().host, 0, 0);
    registry.expect_open();
    const WorkDirectory work;
    image::ExportResult result;
    {
        const Fd file = open_at(AT_FDCWD, work.path("image.tar"), O_WRONLY | O_CREAT | O_EXCL, 0600);
        result = context.backend.export_image(request, file.get(), screen);
    }
    screen.progress("send", registry.place().text(), 0, 0);
    registry.send(work.path("image.tar"));
    screen.clear();
    if (!context.quiet) print_export(context, arguments.operands()[0], result, context.io.out);
    return kDone;
}

/// The digest of what is to be fetched: that of the manifest, or of one that an index of several lists.
Sha256 digest_to_fetch(const Registry& registry, const Registry::Found& found,
                       const std::optional<Sha256>& expected) {
    if (!expected || *expected == found.digest) return found.digest;
    if (found.manifest.find(expected->hex()) != std::string::npos) return *expected;
    throw Error("pull", "oci://" + registry.place().text(),
                fmt::format("the image is {}, not the expected {}", digest_text(found.digest),
                            digest_text(*expected)))
        .as(Fault::corrupt);
}

int pull_registry(Context& context, const Arguments& arguments, const std::string& where) {
    const Registry registry(RegistryPlace::parse(where), arguments.has("insecure"));
    ImportRequest request = import_request(context, arguments);
    if (!request.name) {
        if (!is_container_name(registry.place().name())) {
            throw wrong(fmt::format("'{}' cannot be the name of a container", registry.place().name()))
                .with_hint("name it with --as NAME");
        }
        request.name.emplace(registry.place().name());
    }
    expect_free(context, *request.name);
    ProgressScreen screen(context);
    screen.progress("ask", registry.place().host, 0, 0);
    const Registry::Found found = registry.look();
    screen.clear();
    const Sha256 digest = digest_to_fetch(registry, found, request.expect);
    if (request.expect) {
        say(context, "the image has the digest that was given");
    } else {
        ask_or_refuse(context, "oci://" + registry.place().text(), digest, "a registry keeps no signature",
                      arguments.has("allow-unsigned"));
    }
    // It is settled for this digest, which skopeo checks; what it makes of a Docker manifest has another one.
    request.expect.reset();
    request.vouch = {};
    expect_space(Directories::from_environment().cache, found.bytes(), "what is fetched");
    const WorkDirectory work;
    screen.progress("fetch", registry.place().text(), 0, 0);
    registry.fetch(digest, work.path("image.tar"), request.name->str());
    const Fd file = open_at(AT_FDCWD, work.path("image.tar"), O_RDONLY);
    request.in = file.get();
    const ImportResult result = context.backend.import_image(request, screen);
    screen.clear();
    return tell_import(context, arguments, "pull", result);
}

// --- push, pull
// ----------------------------------------------------------------------------------------------

Place place_of(const std::string& text) {
    for (const auto& [scheme, is_registry] : {std::pair("ssh://", false), std::pair("oci://", true)}) {
        if (!text.starts_with(scheme)) continue;
        Place place{is_registry, text.substr(6), ""};
        if (const size_t slash = place.text.find('/'); !is_registry && slash != std::string::npos) {
            place.name = place.text.substr(slash + 1);
            place.text.resize(slash);
        }
        if (!is_registry) (void)SshPlace::parse(place.text);
        return place;
    }
    throw wrong(fmt::format("'{}' is no place", printable(text)))
        .with_hint("write ssh://HOST, or oci://REGISTRY/REPOSITORY:TAG");
}

int run_push(Context& context, const Arguments& arguments) {
    const Place place = place_of(arguments.operands().at(1));
    return place.is_registry ? push_registry(context, arguments, place.text)
                             : push_ssh(context, arguments, place);
}

int run_pull(Context& context, const Arguments& arguments) {
    const std::vector<std::string> words = arguments.operands();
    const Place place = place_of(words.at(0));
    if (place.is_registry && arguments.has("with-home")) {
        throw wrong("what a registry has is whole: a home that was pushed with it comes along")
            .with_hint("leave '--with-home' away");
    }
    if (place.is_registry) return pull_registry(context, arguments, place.text);
    const std::string name = words.size() > 1 ? words[1] : place.name;
    if (name.empty())
        throw wrong("'pull' needs the name of a container").with_hint("pwstore pull ssh://HOST NAME");
    return pull_ssh(context, arguments, place.text, name);
}

Option insecure_option() {
    return {"insecure", 0, "", "also when a registry has no TLS, or none that can be checked"};
}
Option remote_option() {
    return {"remote-program", 0, "PATH", "how pwstore is called on the host", Completes::file};
}

Command push_command() {
    Command it{"push", {}, "Hosts", "send a container to another host or to a registry"};
    it.description = {
        "ssh://HOST: over one ssh connection, only the files that the host lacks; pwstore has to be "
        "installed there. "
        "oci://REGISTRY/REPOSITORY:TAG: with skopeo; layers that the registry has are not sent again."};
    it.operands = {{"NAME[@N]", Completes::generation}, {"PLACE", Completes::place}};
    it.options = {{"as", 0, "NAME", "its name on the host"},
                  {"sign", 0, "KEY", "sign it with this SSH key; only to a host", Completes::file},
                  compress_option(),
                  home_option(),
                  remote_option(),
                  insecure_option()};
    it.examples = {{"pwstore push editor ssh://desk", "to the host 'desk'"},
                   {"pwstore push editor oci://registry.example/me/editor:7", "to a registry"}};
    it.run = run_push;
    return it;
}

Command pull_command() {
    Command it{"pull", {}, "Hosts", "fetch a container from another host or from a registry"};
    it.description = {
        "From a host only the files that are not here are sent. Somebody has to vouch for what comes, as "
        "with "
        "'pwstore import'."};
    it.operands = {{"PLACE", Completes::place}, {"NAME[@N]", Completes::nothing, true}};
    it.options = import_options();
    it.options.push_back({"with-home", 0, "", "from a host: its home comes along, as it is now"});
    it.options.push_back(remote_option());
    it.options.push_back(insecure_option());
    it.examples = {{"pwstore pull ssh://desk editor", "from the host 'desk'"},
                   {"pwstore pull oci://docker.io/library/debian:12 --as debian", "any image of a registry"}};
    it.run = run_pull;
    return it;
}

}  // namespace

std::vector<Command> transfer_commands() {
    return {export_command(), import_command(), have_command(),
            push_command(),   pull_command(),   serve_command()};
}

}  // namespace pwstore::cli
