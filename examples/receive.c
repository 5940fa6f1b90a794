/* SPDX-License-Identifier: MIT */
/*
 * Receives TCP connections to their end and writes what comes to files, straight from the
 * views: one writev() and one release for a whole batch.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <zcrx.h>

#define BATCH       256
#define PROGRESS_NS 250000000

struct settings {
	char *listen;       /* HOST:PORT */
	const char *output; /* NULL: discard */
	uint64_t connections;
	struct zrx_options options;
	int sha256, json;
	int to_stdout; /* the data goes there, and the report to standard error */
};

struct connection {
	int socket;
	int file;         /* -1: discard */
	EVP_MD_CTX *hash; /* NULL: not asked for */
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned digest_bytes;
};

struct program {
	struct settings settings;
	struct zrx_receiver *receiver;
	int listener;
	char listening[NI_MAXHOST + 16]; /* HOST:PORT */
	struct connection *connections;
	uint64_t accepted, ended, failed;
	uint64_t begun_ns, ended_ns, shown_ns;
};

/* ---- the end ---- */

static struct zrx_receiver
	*open_now; /* for whatever ends the program: closing it puts the NIC back */
static volatile sig_atomic_t stopped; /* the signal that asked for the end */

static void close_receiver(void)
{
	zrx_receiver_close(open_now);
	open_now = NULL;
}

/* Nothing sleeps longer than a second, so that no wait has to be ended. */
static void on_signal(int number)
{
	stopped = number;
}

static void catch_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = on_signal}, was;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (!sigaction(numbers[i], NULL, &was) && was.sa_handler != SIG_IGN) /* nohup */
			sigaction(numbers[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	atexit(close_receiver);
}

static void end_if_stopped(void)
{
	if (stopped)
		exit(128 + stopped);
}

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
	fprintf(stderr, "receive: %s: %s\n", what, why);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- settings ---- */

static const char usage[] =
	"usage: receive --listen HOST:PORT [--output FILE | --discard] [--connections N]\n"
	"               [--engine auto|zcrx|zcrx-nodev|multishot|recv] [--interface I [--queue "
	"Q]]\n"
	"               [--sha256] [--json]\n"
	"  With more than one connection the files are FILE.0, FILE.1, ... in the order of "
	"accept.\n"
	"  FILE - is standard output; the report then goes to standard error.\n"
	"  Port 0 takes a free one; \"listening on HOST:PORT\" goes to standard error.\n";

static const struct option long_options[] = {
	{"listen", required_argument, NULL, 'l'}, {"output", required_argument, NULL, 'o'},
	{"discard", no_argument, NULL, 'd'},      {"connections", required_argument, NULL, 'c'},
	{"engine", required_argument, NULL, 'e'}, {"interface", required_argument, NULL, 'i'},
	{"queue", required_argument, NULL, 'q'},  {"sha256", no_argument, NULL, 's'},
	{"json", no_argument, NULL, 'j'},         {NULL, 0, NULL, 0},
};

static void usage_error(void)
{
	fputs(usage, stderr);
	exit(2);
}

static uint64_t number(const char *text, uint64_t most)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (end == text || *end || value > most)
		usage_error();
	return value;
}

/* Whether the data goes where the report would. */
static int is_stdout(const char *path)
{
	struct stat there, here;

	return !strcmp(path, "-") || (!stat(path, &there) && !fstat(STDOUT_FILENO, &here) &&
				      there.st_dev == here.st_dev && there.st_ino == here.st_ino);
}

static struct settings parse_arguments(int argc, char **argv)
{
	struct settings settings = {.connections = 1, .options = ZRX_OPTIONS_INIT};
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'l':
			settings.listen = optarg;
			break;
		case 'o':
			settings.output = optarg;
			break;
		case 'd':
			settings.output = NULL;
			break;
		case 'c':
			settings.connections = number(optarg, 65536);
			break;
		case 'e':
			if (zrx_engine_by_name(optarg, &settings.options.engine) < 0)
				usage_error();
			break;
		case 'i':
			settings.options.interface = optarg;
			break;
		case 'q':
			settings.options.queue = (uint32_t)number(optarg, 65535);
			settings.options.flags |= ZRX_QUEUE;
			break;
		case 's':
			settings.sha256 = 1;
			break;
		case 'j':
			settings.json = 1;
			break;
		default:
			usage_error();
		}
	}
	if (!settings.listen || !settings.connections || !strchr(settings.listen, ':') ||
	    optind != argc || (settings.output && !*settings.output))
		usage_error();
	settings.to_stdout = settings.output && is_stdout(settings.output);
	if (settings.to_stdout && settings.connections > 1)
		die("--output", "several connections need a file for each, not standard output");
	return settings;
}

/* ---- sockets and files ---- */

static int listen_at(const struct addrinfo *address)
{
	int listener = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1, off = 0;

	if (listener < 0)
		return -1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->ai_family == AF_INET6) /* [::] is for IPv4, too */
		setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (!bind(listener, address->ai_addr, address->ai_addrlen) && !listen(listener, 1024))
		return listener;
	close(listener);
	return -1;
}

/* At the first address of the host that can be had. Returns the port. */
static uint32_t listen_on(struct program *program)
{
	char *host = program->settings.listen, *colon = strrchr(host, ':');
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *addresses;
	struct sockaddr_storage bound;
	socklen_t length = sizeof(bound);
	char name[NI_MAXHOST] = "", port[16] = "";
	int result;

	*colon = '\0';
	if (host[0] == '[' && colon[-1] == ']') { /* [IPv6] */
		colon[-1] = '\0';
		host++;
	}
	result = getaddrinfo(*host ? host : "::", colon + 1, &hints, &addresses);
	if (result)
		die(host, gai_strerror(result));
	program->listener = -1;
	for (struct addrinfo *each = addresses; each && program->listener < 0; each = each->ai_next)
		program->listener = listen_at(each);
	if (program->listener < 0)
		die("listen", strerror(errno));
	freeaddrinfo(addresses);
	getsockname(program->listener, (struct sockaddr *)&bound, &length);
	getnameinfo((struct sockaddr *)&bound, length, name, sizeof(name), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(program->listening, sizeof(program->listening),
		 strchr(name, ':') ? "[%s]:%s" : "%s:%s", name, port);
	return (uint32_t)number(port, 65535);
}

/* Enough for all connections: one too many would end the others. */
static void allow_descriptors(const struct settings *settings)
{
	/* The socket, the receiver's reference to it, the file; and what the program itself has. */
	uint64_t needed = settings->connections * (settings->output ? 3 : 2) + 32;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || needed <= limit.rlim_cur)
		return;
	if (needed > limit.rlim_max) {
		fprintf(stderr,
			"receive: %" PRIu64 " connections need %" PRIu64
			" descriptors, and %" PRIu64 " are allowed: ulimit -Hn\n",
			settings->connections, needed, (uint64_t)limit.rlim_max);
		exit(1);
	}
	limit.rlim_cur = needed;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_output(const struct settings *settings, uint64_t connection)
{
	char path[4096];
	int file;

	if (!settings->output)
		return -1;
	if (settings->to_stdout)
		return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	if (settings->connections == 1)
		snprintf(path, sizeof(path), "%s", settings->output);
	else
		snprintf(path, sizeof(path), "%s.%" PRIu64, settings->output, connection);
	file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (file < 0)
		die(path, strerror(errno));
	return file;
}

static void accept_connection(struct program *program)
{
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct connection *connection = &program->connections[program->accepted];
	uint64_t stream;

	connection->socket = accept4(program->listener, NULL, NULL, SOCK_CLOEXEC);
	if (connection->socket < 0)
		die("accept", strerror(errno));
	connection->file = open_output(&program->settings, program->accepted);
	if (program->settings.sha256) {
		connection->hash = EVP_MD_CTX_new();
		if (!connection->hash || !EVP_DigestInit_ex(connection->hash, EVP_sha256(), NULL))
			die("SHA-256", "not available");
	}
	options.tag = program->accepted;
	if (zrx_receiver_add(program->receiver, connection->socket, &options, &stream) < 0) {
		zrx_receiver_error(program->receiver, &error);
		die(error.message, error.hint);
	}
	if (!program->accepted++)
		program->begun_ns = now_ns();
}

/* ---- data ---- */

static void write_all(int file, struct iovec *parts, int count)
{
	while (count) {
		ssize_t written = writev(file, parts, count);

		if (written < 0 && errno == EINTR) {
			end_if_stopped();
			continue;
		}
		if (written < 0 &&
		    errno == EPIPE) /* as if by SIGPIPE: nobody is there to be told */
			exit(128 + SIGPIPE);
		if (written < 0)
			die("write", strerror(errno));
		for (; count && (size_t)written >= parts->iov_len; parts++, count--)
			written -= (ssize_t)parts->iov_len;
		if (count) {
			parts->iov_base = (char *)parts->iov_base + written;
			parts->iov_len -= (size_t)written;
		}
	}
}

static void end_connection(struct program *program, struct connection *connection,
			   const struct zrx_event *event)
{
	if (event->kind == ZRX_EVENT_ERROR) {
		fprintf(stderr, "receive: connection %" PRIu64 ": %s\n", event->tag,
			strerror(-event->error));
		program->failed++;
	}
	if (connection->hash)
		EVP_DigestFinal_ex(connection->hash, connection->digest, &connection->digest_bytes);
	EVP_MD_CTX_free(connection->hash);
	if (connection->file >= 0 && close(connection->file))
		die("close", strerror(errno));
	close(connection->socket);
	program->ended++;
	program->ended_ns = now_ns();
}

/* The events at the front that are data of one connection. Returns how many. */
static uint32_t take_data(struct connection *connection, const struct zrx_event *events,
			  uint32_t count)
{
	struct iovec parts[BATCH];
	uint32_t taken = 0;

	while (taken < count && events[taken].kind == ZRX_EVENT_DATA &&
	       events[taken].tag == events[0].tag) {
		const struct zrx_buffer *buffer = &events[taken].buffer;

		parts[taken++] = (struct iovec){(void *)buffer->data, buffer->length};
		if (connection->hash)
			EVP_DigestUpdate(connection->hash, buffer->data, buffer->length);
	}
	if (connection->file >= 0)
		write_all(connection->file, parts, (int)taken);
	return taken;
}

static void take_events(struct program *program, const struct zrx_event *events, uint32_t count)
{
	for (uint32_t done = 0; done < count;) {
		struct connection *connection = &program->connections[events[done].tag];
		uint32_t taken = take_data(connection, events + done, count - done);

		if (!taken) {
			end_connection(program, connection, &events[done]);
			taken = 1;
		}
		done += taken;
	}
	zrx_event_release(events, count);
}

/* ---- what is shown ---- */

static void show_progress(struct program *program)
{
	struct zrx_stats stats = ZRX_STATS_INIT;
	uint64_t now = now_ns();

	if (!isatty(STDERR_FILENO) || now - program->shown_ns < PROGRESS_NS)
		return;
	program->shown_ns = now;
	zrx_receiver_stats(program->receiver, &stats);
	fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " connections ended, %.1f MB\033[K",
		program->ended, program->settings.connections, (double)stats.bytes / 1e6);
}

/* Why each better engine is not in use, as one line. */
static void describe_refusals(const struct zrx_receiver *receiver, char *text, size_t size)
{
	struct zrx_error why = ZRX_ERROR_INIT;
	size_t length = 0;

	text[0] = '\0';
	for (uint32_t engine = 1; engine < ZRX_ENGINE_COUNT && length < size; engine++)
		if (zrx_receiver_refusal(receiver, engine, &why) == 1)
			length += (size_t)snprintf(text + length, size - length, "%s%s: %s",
						   length ? "; " : "", zrx_engine_name(engine),
						   why.message);
}

static void print_json_string(FILE *to, const char *text)
{
	fputc('"', to);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(to, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(to, "\\u%04x", (unsigned)*text);
		else
			fputc(*text, to);
	}
	fputc('"', to);
}

static void print_digest(FILE *to, const struct connection *connection)
{
	for (unsigned i = 0; i < connection->digest_bytes; i++)
		fprintf(to, "%02x", connection->digest[i]);
}

static void print_json(FILE *to, const struct program *program, const char *engine,
		       const char *reason, const struct zrx_stats *stats, double seconds)
{
	fprintf(to, "{\"listening\": \"%s\", \"engine\": \"%s\", \"reason\": ", program->listening,
		engine);
	print_json_string(to, reason);
	fprintf(to,
		", \"bytes\": %" PRIu64 ", \"seconds\": %.6f, \"buffers\": %" PRIu64
		", \"copied_bytes\": ",
		stats->bytes, seconds, stats->buffers);
	if (stats->copied_bytes == ZRX_UNKNOWN)
		fprintf(to, "null");
	else
		fprintf(to, "%" PRIu64, stats->copied_bytes);
	for (uint64_t i = 0; program->settings.sha256 && i < program->accepted; i++) {
		fprintf(to, "%s\"", i ? ", " : ", \"sha256\": [");
		print_digest(to, &program->connections[i]);
		fputc('"', to);
	}
	fputs(program->settings.sha256 ? "]}\n" : "}\n", to);
}

static void end_output(FILE *to)
{
	if (fflush(to) && errno == EPIPE)
		exit(128 + SIGPIPE);
	if (ferror(to))
		die("standard output", strerror(errno));
}

static void report(const struct program *program)
{
	struct zrx_stats stats = ZRX_STATS_INIT;
	struct zrx_info info = {.size = sizeof(info)};
	double seconds = (double)(program->ended_ns - program->begun_ns) / 1e9;
	FILE *to = program->settings.to_stdout ? stderr : stdout;
	char reason[ZRX_ENGINE_COUNT * 300];

	zrx_receiver_stats(program->receiver, &stats);
	zrx_receiver_info(program->receiver, &info);
	describe_refusals(program->receiver, reason, sizeof(reason));
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	if (program->settings.json) {
		print_json(to, program, zrx_engine_name(info.engine), reason, &stats, seconds);
		end_output(to);
		return;
	}
	fprintf(to, "engine %s%s%s\n%" PRIu64 " bytes in %" PRIu64 " buffers, %.3f s, %.3f GB/s\n",
		zrx_engine_name(info.engine), *reason ? ", because " : "", reason, stats.bytes,
		stats.buffers, seconds, (double)stats.bytes / 1e9 / seconds);
	for (uint64_t i = 0; program->settings.sha256 && i < program->accepted; i++) {
		print_digest(to, &program->connections[i]);
		fprintf(to, "  connection %" PRIu64 "\n", i);
	}
	end_output(to);
}

/* ---- the loop ---- */

static int receive_batch(struct program *program, int64_t timeout_ns)
{
	struct zrx_event events[BATCH];
	int count = zrx_receiver_receive(program->receiver, events, BATCH, timeout_ns);

	if (count < 0 && count != -EINTR)
		die("receive", strerror(-count));
	end_if_stopped();
	if (count > 0)
		take_events(program, events, (uint32_t)count);
	show_progress(program);
	return count;
}

/* While connections are still to come the listener has to be watched, too. */
static void accept_and_receive(struct program *program)
{
	struct pollfd polled[2] = {
		{.fd = program->listener, .events = POLLIN},
		{.fd = zrx_receiver_fd(program->receiver), .events = POLLIN},
	};

	while (program->accepted < program->settings.connections) {
		if (poll(polled, 2, 1000) < 0 && errno != EINTR)
			die("poll", strerror(errno));
		end_if_stopped();
		if (polled[0].revents)
			accept_connection(program);
		while (receive_batch(program, 0) == BATCH)
			;
	}
	close(program->listener);
}

/* A NIC leads what comes to the port to the receiver's queue: from a connection's first byte on. */
static void open_receiver(struct program *program, uint32_t port)
{
	struct zrx_options *options = &program->settings.options;
	struct zrx_error error = ZRX_ERROR_INIT;

	if (options->interface) {
		options->steer = ZRX_STEER_PORT;
		options->steer_port = port;
	}
	if (zrx_receiver_open(&program->receiver, options, &error) < 0) {
		fprintf(stderr, "receive: %s%s%s\n", error.message, *error.hint ? ". " : "",
			error.hint);
		exit(1);
	}
	open_now = program->receiver;
	program->connections =
		calloc(program->settings.connections + 1, sizeof(*program->connections));
	if (!program->connections)
		die("connections", "no memory");
}

int main(int argc, char **argv)
{
	struct program program = {.settings = parse_arguments(argc, argv)};
	uint32_t port;

	for (int fd = 0; fd < 3; fd++) /* no socket and no file gets the number of a closed one */
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", O_RDWR);
	catch_signals();
	allow_descriptors(&program.settings);
	port = listen_on(&program);
	open_receiver(&program, port);
	fprintf(stderr, "listening on %s\n", program.listening);
	accept_and_receive(&program);
	while (program.ended < program.accepted)
		receive_batch(&program, PROGRESS_NS);
	report(&program);
	close_receiver();
	free(program.connections);
	return program.failed != 0;
}
