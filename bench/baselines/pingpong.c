/* The floor of a round trip between two processes: blocking reads and writes on a pair of unix sockets, nothing else.
 *
 *     cc -O2 -o pingpong bench/baselines/pingpong.c && ./pingpong SENT RECEIVED MILLISECONDS
 *
 * It sends SENT bytes and waits for RECEIVED, again and again, and writes: round trips, p50, p99 of one of them and the CPU time that
 * the sending side used for all, in nanoseconds. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST = 1 << 16, ROUND_TRIPS = 1 << 22 };

static char buffer[LARGEST];

static long now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* Reads or writes exactly n bytes; 0 at the end of the stream. */
static int whole(int fd, size_t n, int sending) {
	for (size_t done = 0; done < n;) {
		ssize_t k = sending ? write(fd, buffer + done, n - done) : read(fd, buffer + done, n - done);
		if (k == 0)
			return 0;
		if (k < 0 && errno != EINTR)
			return 0;
		if (k > 0)
			done += (size_t)k;
	}
	return 1;
}

static int by_value(const void *a, const void *b) {
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
	return x < y ? -1 : x > y;
}

static long microseconds(struct timeval t) { return t.tv_sec * 1000000L + t.tv_usec; }

int main(int argc, char **argv) {
	long sent = argc == 4 ? atol(argv[1]) : 0, received = argc == 4 ? atol(argv[2]) : 0, ms = argc == 4 ? atol(argv[3]) : 0;
	if (sent < 1 || sent > LARGEST || received < 1 || received > LARGEST || ms < 1) {
		fprintf(stderr, "usage: pingpong SENT RECEIVED MILLISECONDS; bytes from 1 to %d\n", LARGEST);
		return 2;
	}
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
		perror("socketpair");
		return 1;
	}
	pid_t peer = fork();
	if (peer < 0) {
		perror("fork");
		return 1;
	}
	if (peer == 0) {
		close(pair[0]);
		while (whole(pair[1], (size_t)sent, 0) && whole(pair[1], (size_t)received, 1))
			;
		return 0;
	}
	close(pair[1]);
	unsigned *took = malloc(ROUND_TRIPS * sizeof *took);
	if (took == NULL) {
		perror("malloc");
		return 1;
	}
	struct rusage before, after;
	getrusage(RUSAGE_SELF, &before);
	long n = 0, begin = now(), end = begin + ms * 1000000L;
	for (long at = begin; at < end && n < ROUND_TRIPS; n++) {
		if (!whole(pair[0], (size_t)sent, 1) || !whole(pair[0], (size_t)received, 0)) {
			fprintf(stderr, "pingpong: the other side is gone\n");
			return 1;
		}
		long then = now();
		took[n] = (unsigned)(then - at);
		at = then;
	}
	getrusage(RUSAGE_SELF, &after);
	close(pair[0]);
	waitpid(peer, NULL, 0);
	qsort(took, (size_t)n, sizeof *took, by_value);
	long cpu = microseconds(after.ru_utime) + microseconds(after.ru_stime) - microseconds(before.ru_utime) - microseconds(before.ru_stime);
	printf("%ld %u %u %ld\n", n, took[n / 2], took[n * 99 / 100], cpu * 1000);
	return 0;
}
