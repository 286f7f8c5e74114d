/* A Modbus TCP server for benchmarks: epoll, one thread, nothing looked up, nothing kept.
 *
 * It listens on every address of the loopback interface and on no other interface, so that each device can have
 * an address of its own (127.1.0.0 + index). Register `a` holds `a` if `a` is odd, else 0.
 *
 * Options: --port P (0 = any), --units N (units 1..N answer, others with exception 0x0B), --silent-every K (every
 * Kth address accepts and never answers), --silent-unit U (unit U never answers, on any connection).
 * Prints "PORT\n" when it listens. Ends when its standard input does, and prints what it has answered as JSON.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 1024, FIRST_ADDRESS = 0x7F010000, BACKLOG = 4096 };

typedef struct {
    uint8_t kept[MAX_FRAME]; /* the beginning of a request that has not come whole */
    int filled;
    int silent;
} Connection;

static Connection **connections; /* by descriptor */
static uint8_t registers[2 * 65536 + 256];
static unsigned units, silent_every, silent_unit;
static unsigned long reads, writes, refusals;

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    if (fd < 0) fail("socket");
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3)) fail("SO_BINDTODEVICE lo");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)) fail("SO_REUSEADDR");
    if (bind(fd, (struct sockaddr *)&address, sizeof address)) fail("bind");
    if (listen(fd, BACKLOG)) fail("listen");
    return fd;
}

static int port_of(int fd) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size)) fail("getsockname");
    return ntohs(address.sin_port);
}

static int is_silent(int fd) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (!silent_every || getsockname(fd, (struct sockaddr *)&address, &size)) return 0;
    return (ntohl(address.sin_addr.s_addr) - FIRST_ADDRESS) % silent_every == silent_every - 1;
}

static void accept_all(int epoll, int listening) {
    int fd, on = 1;
    while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connections[fd] = calloc(1, sizeof(Connection));
        if (!connections[fd]) fail("calloc");
        connections[fd]->silent = is_silent(fd);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
    }
}

static void drop(int fd) {
    free(connections[fd]);
    connections[fd] = NULL;
    close(fd);
}

/* The answer to one whole request; its length, 0 = none. */
static int answer(const uint8_t *request, int size, uint8_t *out) {
    if (request[6] == silent_unit || size < 12) return 0;
    unsigned function = request[HEADER], address = word_at(request + 8), count = word_at(request + 10);
    int body;
    memcpy(out, request, 8);
    if (request[6] == 0 || request[6] > units) {
        out[7] |= 0x80, out[8] = 0x0B, body = 2, refusals++;
    } else if ((function == READ_HOLDING || function == READ_INPUT) && count >= 1 && count <= 125) {
        out[8] = (uint8_t)(2 * count);
        memcpy(out + 9, registers + 2 * address, 2 * count);
        body = 2 + 2 * (int)count, reads++;
    } else if (function == WRITE_ONE || function == WRITE_MANY) {
        memcpy(out + 8, request + 8, 4);
        body = 5, writes++;
    } else {
        out[7] |= 0x80, out[8] = function == READ_HOLDING || function == READ_INPUT ? 3 : 1;
        body = 2, refusals++;
    }
    put_word(out + 4, (unsigned)body + 1);
    return HEADER + body;
}

/* Answer every whole request in `data`; the octets left over, -1 = no Modbus or gone. */
static int serve(int fd, const uint8_t *data, int filled) {
    uint8_t out[MAX_FRAME];
    int at = 0;
    while (filled - at >= HEADER) {
        int size = 6 + word_at(data + at + 4);
        if (size < 8 || size > MAX_FRAME) return -1;
        if (filled - at < size) break;
        int length = answer(data + at, size, out);
        if (length && send(fd, out, (size_t)length, MSG_NOSIGNAL) != length) return -1;
        at += size;
    }
    return filled - at;
}

static void receive(int fd) {
    static uint8_t buffer[16 * MAX_FRAME];
    Connection *connection = connections[fd];
    int had = connection->filled;
    memcpy(buffer, connection->kept, (size_t)had);
    ssize_t got = recv(fd, buffer + had, sizeof buffer - (size_t)had, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        drop(fd);
        return;
    }
    if (connection->silent) return;
    int filled = had + (int)got, left = serve(fd, buffer, filled);
    if (left < 0) {
        drop(fd);
        return;
    }
    memcpy(connection->kept, buffer + filled - left, (size_t)left);
    connection->filled = left;
}

static int input_ended(void) {
    char octet;
    return read(STDIN_FILENO, &octet, 1) <= 0;
}

int main(int argc, char **argv) {
    static struct epoll_event events[EVENTS];
    struct rlimit limit;
    units = (unsigned)atoi(option(argc, argv, "--units", "247"));
    silent_every = (unsigned)atoi(option(argc, argv, "--silent-every", "0"));
    silent_unit = (unsigned)atoi(option(argc, argv, "--silent-unit", "256"));
    for (unsigned a = 1; a < 65536; a += 2) put_word(registers + 2 * a, a);
    signal(SIGINT, SIG_IGN); /* a keyboard's is for the harness, whose end is ours */
    raise_open_files();
    getrlimit(RLIMIT_NOFILE, &limit);
    connections = calloc(limit.rlim_cur, sizeof *connections);
    int listening = listen_on(atoi(option(argc, argv, "--port", "0"))), epoll = epoll_create1(0);
    if (!connections || epoll < 0) fail("epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listening};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &event);
    event.data.fd = STDIN_FILENO;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event)) fail("standard input must be a pipe");
    printf("%d\n", port_of(listening));
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listening) {
                accept_all(epoll, listening);
            } else if (fd != STDIN_FILENO) {
                receive(fd);
            } else if (input_ended()) {
                printf("{\"reads\": %lu, \"writes\": %lu, \"refusals\": %lu}\n", reads, writes, refusals);
                return 0;
            }
        }
    }
}
