/* SPDX-License-Identifier: MIT */
/*
 * Takes uploads over TCP on several receivers, writes the SHA-256 of each to standard output and to
 * its peer, and serves metrics. An upload is what comes until the peer shuts its side down.
 *
 *     make
 *     build/examples/upload_server --listen 127.0.0.1:5000 --metrics 127.0.0.1:9100 &
 *     nc -N 127.0.0.1 5000 <FILE
 *     curl http://127.0.0.1:9100/metrics
 *
 * With --interface each receiver has a queue of that NIC; without, they copy. SIGHUP, SIGINT and
 * SIGTERM let the uploads under way end first; a second one does not.
 */
#include "upload_server.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct settings {
	char *listen, *metrics; /* HOST:PORT; NULL: no metrics */
	uint64_t grace_s;
	struct zrx_group_options group;
	struct zrx_options receiver;
};

void say(const char *what, const char *why)
{
	fprintf(stderr, "upload_server: %s: %s\n", what, why);
}

void say_error(const char *what, const struct zrx_error *error)
{
	say(what, error->message);
	if (*error->kernel_text)
		say("the kernel says", error->kernel_text);
	if (*error->hint)
		say("what to do", error->hint);
}

/* ---- settings ---- */

static const char usage[] =
	"usage: upload_server --listen HOST:PORT [--metrics HOST:PORT] [--receivers N] [--pin]\n"
	"                     [--engine auto|zcrx|zcrx-nodev|multishot|recv] [--interface I]\n"
	"                     [--area-bytes BYTES] [--grace SECONDS]\n"
	"  --listen      port 0 takes a free one; standard error tells which\n"
	"  --metrics     where counters are served in the text format of Prometheus, at /metrics\n"
	"  --receivers   each has a thread, and with --interface a queue; default: as many as\n"
	"                processors, at most 16, or as free queues\n"
	"  --pin         each thread to a processor of its own\n"
	"  --interface   receive by zero-copy from queues of this NIC\n"
	"  --area-bytes  memory to receive into, of each receiver\n"
	"  --grace       how long a signal lets uploads go on; default: 30\n";

static const struct option long_options[] = {
	{"listen", required_argument, NULL, 'l'},
	{"metrics", required_argument, NULL, 'm'},
	{"receivers", required_argument, NULL, 'r'},
	{"pin", no_argument, NULL, 'p'},
	{"engine", required_argument, NULL, 'e'},
	{"interface", required_argument, NULL, 'i'},
	{"area-bytes", required_argument, NULL, 'a'},
	{"grace", required_argument, NULL, 'g'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

__attribute__((noreturn)) static void usage_error(const char *what, const char *why)
{
	fputs(usage, stderr);
	say(what, why);
	exit(2);
}

static uint64_t number(const char *name, const char *text, uint64_t most)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value > most)
		usage_error(name, "not a number, or too large");
	return value;
}

static void parse_arguments(struct settings *settings, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'l':
			settings->listen = optarg;
			break;
		case 'm':
			settings->metrics = optarg;
			break;
		case 'r':
			settings->group.count = (uint32_t)number("--receivers", optarg, UINT32_MAX);
			break;
		case 'p':
			settings->group.flags |= ZRX_GROUP_PIN;
			break;
		case 'e':
			if (zrx_engine_by_name(optarg, &settings->receiver.engine) < 0)
				usage_error("--engine", "there is none of this name");
			break;
		case 'i':
			settings->receiver.interface = optarg;
			break;
		case 'a':
			settings->receiver.area_bytes = number("--area-bytes", optarg, UINT64_MAX);
			break;
		case 'g':
			settings->grace_s = number("--grace", optarg, 1000000);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default: /* getopt has said what it is */
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind != argc)
		usage_error(argv[optind], "not an option");
	if (!settings->listen)
		usage_error("--listen", "is needed");
}

/* ---- sockets ---- */

/* HOST:PORT or [HOST]:PORT. Returns the socket, bound but not yet listening, or -1. */
static int bind_to(const char *name, char *address)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
	char *colon = strrchr(address, ':');
	int on = 1, fd, result;

	if (!colon)
		usage_error(name, "is not HOST:PORT");
	*colon = '\0';
	if (address[0] == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		address++;
	}
	result = getaddrinfo(*address ? address : NULL, colon + 1, &hints, &found);
	if (result)
		return say(name, gai_strerror(result)), -1;
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen)) {
		say(name, strerror(errno));
		close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

static uint32_t port_of(int fd)
{
	struct sockaddr_in6 address = {0}; /* the port is where that of IPv4 is */
	socklen_t length = sizeof(address);

	getsockname(fd, (struct sockaddr *)&address, &length);
	return ntohs(address.sin6_port);
}

static int listen_and_say(const char *what, int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "";

	if (listen(fd, SOMAXCONN))
		return say(what, strerror(errno)), -1;
	getsockname(fd, (struct sockaddr *)&address, &length);
	getnameinfo((struct sockaddr *)&address, length, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	fprintf(stderr, strchr(host, ':') ? "%s on [%s]:%s\n" : "%s on %s:%s\n", what, host, port);
	return 0;
}

/* Before there are other threads, which inherit the mask. What nohup ignores stays ignored. */
static int open_signals(void)
{
	static const int numbers[] = {SIGHUP, SIGINT, SIGTERM};
	struct sigaction was;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (!sigaction(numbers[i], NULL, &was) && was.sa_handler != SIG_IGN)
			sigaddset(&set, numbers[i]);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Each connection takes two: its own, and the receiver's reference to it. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* ---- until the end ---- */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t uploads_under_way(const struct server *server)
{
	struct zrx_group_stats stats = ZRX_GROUP_STATS_INIT;
	uint64_t ended = server->ended; /* first: it never is more than were added */

	zrx_group_stats(server->group, &stats);
	return stats.waiting + stats.added - ended;
}

/* Serve metrics until a signal comes and the uploads have ended, or until something fails. */
static void wait_for_end(struct server *server, uint64_t grace_s)
{
	struct pollfd polled[] = {{.fd = server->signals, .events = POLLIN},
				  {.fd = server->failures, .events = POLLIN},
				  {.fd = server->metrics, .events = POLLIN}};
	uint64_t deadline = 0;

	while (!server->failed) {
		if (poll(polled, 3, server->draining ? 20 : -1) < 0)
			continue; /* a stop by Ctrl-Z */
		if (polled[0].revents) {
			struct signalfd_siginfo signal;

			if (read(server->signals, &signal, sizeof(signal)) < 0 || server->draining)
				return;
			server->draining = 1;
			deadline = now_ms() + grace_s * 1000;
			shutdown(server->listener, SHUT_RDWR); /* the group's copy of it, too */
		}
		if (polled[2].revents)
			metrics_answer(server->metrics, server->group);
		if (server->draining && (!uploads_under_way(server) || now_ms() >= deadline))
			return;
	}
}

/* ---- the server ---- */

/* Which engine it is, and why not the one that was hoped for. */
static void describe(struct zrx_group *group, const struct settings *settings)
{
	const struct zrx_receiver *first = zrx_group_receiver(group, 0);
	struct zrx_info info = ZRX_INFO_INIT;
	struct zrx_error refusal = ZRX_ERROR_INIT;

	zrx_receiver_info(first, &info);
	fprintf(stderr, "%" PRIu32 " receivers, engine %s\n", zrx_group_count(group),
		zrx_engine_name(info.engine));
	if (settings->receiver.interface &&
	    zrx_receiver_refusal(first, ZRX_ENGINE_ZCRX, &refusal) == 1)
		say_error("not by zero-copy", &refusal);
}

/* Before listening: the NIC is to lead connections to the queues from the first one on. */
static int open_group(struct server *server, struct settings *settings)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	settings->group.receiver = &settings->receiver;
	if (settings->receiver.interface) {
		settings->receiver.steer = ZRX_STEER_PORT;
		settings->receiver.steer_port = port_of(server->listener);
	}
	if (zrx_group_open(&server->group, &settings->group, &error) < 0)
		return say_error("cannot open the receivers", &error), -1;
	describe(server->group, settings);
	if (listen_and_say("listening", server->listener))
		return -1;
	if (zrx_group_listen(server->group, server->listener, NULL, &error) < 0)
		return say_error("cannot listen", &error), -1;
	return 0;
}

/* Returns 0 when a signal came and all uploads have ended. */
static int serve(struct server *server, struct settings *settings)
{
	server->listener = bind_to("--listen", settings->listen);
	if (server->listener < 0)
		return -1;
	if (settings->metrics) {
		server->metrics = bind_to("--metrics", settings->metrics);
		if (server->metrics < 0 || listen_and_say("metrics", server->metrics))
			return -1;
	}
	if (open_group(server, settings))
		return -1;
	if (workers_start(server))
		server->failed = 1;
	else
		wait_for_end(server, settings->grace_s);
	workers_stop(server);
	if (server->cut_off)
		fprintf(stderr, "upload_server: %d uploads are cut off\n", server->cut_off);
	return server->failed || server->cut_off ? -1 : 0;
}

int main(int argc, char **argv)
{
	struct settings settings = {
		.grace_s = 30, .group = ZRX_GROUP_OPTIONS_INIT, .receiver = ZRX_OPTIONS_INIT};
	struct server server = {.listener = -1,
				.metrics = -1,
				.signals = open_signals(),
				.failures = eventfd(0, EFD_CLOEXEC),
				.closing = PTHREAD_MUTEX_INITIALIZER};
	int result;

	parse_arguments(&settings, argc, argv);
	if (server.signals < 0 || server.failures < 0)
		return perror("upload_server"), 1;
	setvbuf(stdout, NULL, _IOLBF, 0); /* each line as soon as it is known */
	allow_descriptors();
	result = serve(&server, &settings);
	zrx_group_close(server.group);
	return result || ferror(stdout) ? 1 : 0; /* each line was flushed, or said not to be */
}
