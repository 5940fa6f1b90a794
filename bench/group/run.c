/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../machine.h"
#include "run.h"
#include "space.h"

#define BACKLOG     4096
#define WARM_UP_S   0.4
#define PATIENCE_NS 10000000000u /* for what was sent to arrive */
#define LOOK_S      0.0005

static void sleep_seconds(double seconds)
{
	const struct timespec time = {.tv_sec = (time_t)seconds,
				      .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

	nanosleep(&time, NULL);
}

/* ---- ready, go ---- */

/* Closed at once: so the pipe is at its end when one has failed and the others are ready. */
static int say_ready(int ready)
{
	int result = write(ready, "", 1) == 1 ? 0 : -EPIPE;

	close(ready);
	return result;
}

int server_ready(const struct server_job *job)
{
	return say_ready(job->ready);
}

int sender_ready(const struct sender_job *job)
{
	int result = say_ready(job->ready);
	char byte;

	if (!result && read(job->go, &byte, 1) != 0)
		result = -EPIPE;
	return result;
}

uint64_t sender_share(const struct sender_job *job, uint32_t index)
{
	return job->connections / job->senders + (index < job->connections % job->senders);
}

/* Waits until so many are. */
static int await_ready(int ready, uint32_t count)
{
	char byte;

	for (; count; count--)
		if (read(ready, &byte, 1) != 1)
			return -ECHILD; /* one has ended, and has said why */
	return 0;
}

/* ---- listening ---- */

static int listen_once(struct sockaddr_in6 *address)
{
	socklen_t length = sizeof(*address);
	int fd = space_socket();
	int on = 1;

	if (fd < 0)
		return fd;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
	    bind(fd, (const void *)address, length) || listen(fd, BACKLOG) ||
	    getsockname(fd, (void *)address, &length))
		return -errno;
	return fd;
}

static int listen_all(struct run *run)
{
	run->sending.address.sin6_port = htons(run->serving.port);
	for (uint32_t i = 0; i < run->processes; i++) {
		run->serving.listeners[i] = listen_once(&run->sending.address);
		if (run->serving.listeners[i] < 0)
			return run->serving.listeners[i];
	}
	return 0;
}

/* ---- processes ---- */

static int child_status(const struct run *run, const char *who, int result)
{
	if (result)
		fprintf(stderr, "group: %s: %s: %s\n", run->server->name, who, strerror(-result));
	return result ? 1 : 0;
}

/* A listening socket that nobody accepts from would get its share of connections all the same. */
static int serve_child(const struct run *run, uint32_t index)
{
	for (uint32_t i = 0; i < run->processes; i++)
		if (i != index)
			close(run->serving.listeners[i]);
	close(run->over);
	return child_status(run, "receiver", run->server->serve(&run->serving, index));
}

static int send_child(const struct run *run, uint32_t index,
		      int (*send_share)(const struct sender_job *, uint32_t))
{
	int result = run->peer_space ? space_enter(run->peer_space) : 0;

	close(run->over);
	if (run->sending.pin)
		bench_pin((int)((index + 1) % (uint32_t)sysconf(_SC_NPROCESSORS_ONLN)));
	if (!result)
		result = send_share(&run->sending, index);
	return child_status(run, "sender", result);
}

static pid_t start_child(void)
{
	pid_t process = fork();

	if (!process)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return process;
}

/* Returns the end to be read of whether they are ready, or a negative errno. */
static int start_receivers(struct run *run)
{
	int ready[2], over[2];

	if (pipe(ready) || pipe(over))
		return -errno;
	run->serving.ready = ready[1];
	run->serving.over = over[0];
	run->over = over[1];
	for (uint32_t i = 0; i < run->processes; i++) {
		run->receivers[i] = start_child();
		if (run->receivers[i] < 0)
			return -errno;
		if (!run->receivers[i]) {
			close(ready[0]);
			_exit(serve_child(run, i));
		}
	}
	close(ready[1]);
	close(over[0]);
	for (uint32_t i = 0; i < run->processes; i++)
		close(run->serving.listeners[i]);
	return ready[0];
}

/* Likewise; *go: to be closed to let them begin. */
static int start_senders(struct run *run, int *go,
			 int (*send_share)(const struct sender_job *, uint32_t))
{
	int ready[2], begin[2];

	if (pipe(ready) || pipe(begin))
		return -errno;
	run->sending.ready = ready[1];
	run->sending.go = begin[0];
	for (uint32_t i = 0; i < run->sending.senders; i++) {
		run->senders[i] = start_child();
		if (run->senders[i] < 0)
			return -errno;
		if (!run->senders[i]) {
			close(ready[0]);
			close(begin[1]);
			_exit(send_child(run, i, send_share));
		}
	}
	close(ready[1]);
	close(begin[0]);
	*go = begin[1];
	return ready[0];
}

static int start(struct run *run, uint64_t greetings, int *go,
		 int (*send_share)(const struct sender_job *, uint32_t))
{
	int ready, result = run->is_elsewhere ? 0 : space_make();

	if (result)
		return result;
	run->processes = run->server->one_process ? 1 : run->serving.count;
	run->serving.tallies = run->sending.tallies = tallies_open(greetings);
	if (!run->serving.tallies)
		return -ENOMEM;
	result = listen_all(run);
	if (result)
		return result;
	ready = start_receivers(run);
	result = ready < 0 ? ready : await_ready(ready, run->processes);
	if (result)
		return result;
	ready = start_senders(run, go, send_share);
	return ready < 0 ? ready : await_ready(ready, run->sending.senders);
}

static int reap(const pid_t *processes, uint32_t count)
{
	int result = 0;

	for (uint32_t i = 0; i < count; i++) {
		int status = 0;

		if (waitpid(processes[i], &status, 0) != processes[i] || status)
			result = -ECHILD;
	}
	return result;
}

/* ---- accounts ---- */

/* Of all receiving processes, with all of their threads, in user space and kernel. */
static double receivers_cpu(const struct run *run)
{
	double seconds = 0;

	for (uint32_t i = 0; i < run->processes; i++) {
		struct timespec time = {0};
		clockid_t clock;

		if (!clock_getcpuclockid(run->receivers[i], &clock))
			clock_gettime(clock, &time);
		seconds += (double)time.tv_sec + (double)time.tv_nsec / 1e9;
	}
	return seconds;
}

struct moment {
	uint64_t at_ns;
	double cpu;
	struct tally_sums taken;
};

static void read_moment(const struct run *run, struct moment *moment)
{
	moment->at_ns = now_ns();
	moment->cpu = receivers_cpu(run);
	tallies_sum(run->serving.tallies, &moment->taken);
}

/* Until every connection has ended. */
static void await_end(const struct run *run, struct moment *moment)
{
	uint64_t last = now_ns(), ended = 0;

	do {
		read_moment(run, moment);
		if (moment->taken.ended != ended)
			last = moment->at_ns;
		ended = moment->taken.ended;
		if (ended + moment->taken.failed >= run->sending.connections)
			return;
		sleep_seconds(LOOK_S);
	} while (moment->at_ns - last < PATIENCE_NS);
}

static int account(const struct run *run)
{
	struct tally_sums sent, taken;

	tallies_sum_sent(run->serving.tallies, &sent);
	tallies_sum(run->serving.tallies, &taken);
	if (sent.accepted == run->sending.connections && taken.accepted == sent.accepted &&
	    taken.ended == sent.accepted && !taken.failed && taken.bytes == sent.bytes &&
	    taken.numbers == sent.numbers)
		return 0;
	fprintf(stderr,
		"group: %s: sent %llu bytes in %llu connections; received %llu bytes in %llu, of "
		"which %llu ended and %llu failed; numbers %llu of %llu\n",
		run->server->name, (unsigned long long)sent.bytes,
		(unsigned long long)sent.accepted, (unsigned long long)taken.bytes,
		(unsigned long long)taken.accepted, (unsigned long long)taken.ended,
		(unsigned long long)taken.failed, (unsigned long long)taken.numbers,
		(unsigned long long)sent.numbers);
	return -EBADMSG;
}

static int finish(const struct run *run)
{
	int result;

	close(run->over);
	result = reap(run->receivers, run->processes);
	return result ? result : account(run);
}

/* ---- measures ---- */

int run_throughput(struct run *run)
{
	struct moment before, after, last;
	int go, result = start(run, 0, &go, sender_flood);
	uint64_t bytes;

	if (result)
		return result;
	close(go);
	sleep_seconds(WARM_UP_S);
	read_moment(run, &before);
	do { /* on a machine with much else to do a short time may pass without a byte */
		sleep_seconds(run->seconds);
		read_moment(run, &after);
		bytes = after.taken.bytes - before.taken.bytes;
	} while (!bytes && after.at_ns - before.at_ns < PATIENCE_NS);
	atomic_store(&run->serving.tallies->stop, 1);
	result = reap(run->senders, run->sending.senders);
	await_end(run, &last);
	if (!result)
		result = finish(run);
	if (result)
		return result;
	if (!bytes)
		return -ETIMEDOUT;
	printf("{\"seconds\": %.6f, \"bytes\": %llu, \"cpu_seconds\": %.6f, \"largest_share\": "
	       "%.3f}\n",
	       (double)(after.at_ns - before.at_ns) / 1e9, (unsigned long long)bytes,
	       after.cpu - before.cpu, (double)last.taken.most_bytes / (double)last.taken.bytes);
	return 0;
}

int run_connections(struct run *run)
{
	struct moment before, after;
	int go, result;

	run->serving.greetings = 1;
	result = start(run, run->sending.connections, &go, sender_greet);
	if (result)
		return result;
	read_moment(run, &before);
	close(go);
	await_end(run, &after);
	result = reap(run->senders, run->sending.senders);
	if (!result)
		result = finish(run);
	if (result)
		return result;
	printf("{\"seconds\": %.6f, \"connections\": %llu, \"cpu_seconds\": %.6f, "
	       "\"wait_median_us\": %u, \"wait_p99_us\": %u}\n",
	       (double)(after.at_ns - before.at_ns) / 1e9,
	       (unsigned long long)run->sending.connections, after.cpu - before.cpu,
	       tallies_wait_us(run->serving.tallies, 0.5),
	       tallies_wait_us(run->serving.tallies, 0.99));
	return 0;
}
