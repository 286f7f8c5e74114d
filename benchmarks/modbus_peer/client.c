/* The floor: a Modbus TCP client that does nothing but what the kernel needs. epoll, one thread, one send and one
 * receive per poll, every answer checked, nothing decoded.
 *
 * Options: --port P, --connections N (to 127.1.0.0 + index), --first I (index of the first), --units U (behind each
 * connection), --registers R, --warmup S, --seconds S, and --mode
 *   saturated  the next request of a connection goes out when the answer before has come;
 *   paced      every unit once in --period S, started by one tick of 20 ms on a fixed grid;
 *   write      two registers are written to every unit once, as fast as it goes, --repeat times.
 * Prints one JSON object; CPU is user + system time of the measured window.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 1024, FIRST_ADDRESS = 0x7F010000, MOST_CONNECTING = 512, WRITTEN_AT = 18 };
static const double TICK_S = 0.02;

typedef enum { SATURATED, PACED, WRITE } Mode;

typedef struct {
    int fd;
    uint16_t transaction;
    uint8_t unit;      /* of the request in flight, 0 = none */
    uint8_t *waiting;  /* ring of units, `units` long */
    uint8_t *is_asked; /* per unit: waiting or in flight */
    int head, count;
} Connection;

static Connection *connections;
static int connection_count, units, registers, epoll;
static Mode mode;
static long polls, missed;

static void send_request(Connection *connection, unsigned unit) {
    uint8_t out[17];
    int size = mode == WRITE ? 17 : 12;
    connection->transaction = (uint16_t)(connection->transaction % 0xFFFF + 1);
    put_word(out, connection->transaction);
    put_word(out + 2, 0);
    put_word(out + 4, (unsigned)size - 6);
    out[6] = (uint8_t)unit;
    out[7] = mode == WRITE ? WRITE_MANY : READ_HOLDING;
    put_word(out + 8, mode == WRITE ? WRITTEN_AT : 0);
    put_word(out + 10, mode == WRITE ? 2 : (unsigned)registers);
    if (mode == WRITE) {
        out[12] = 4;
        put_word(out + 13, 0);
        put_word(out + 15, 2000);
    }
    connection->unit = (uint8_t)unit;
    if (send(connection->fd, out, (size_t)size, MSG_NOSIGNAL) != size) fail("send");
}

/* Ask a unit now, or when those before it have been answered. */
static void ask(Connection *connection, int unit) {
    if (connection->is_asked[unit - 1]) {
        missed++;
        return;
    }
    connection->is_asked[unit - 1] = 1;
    if (!connection->unit) {
        send_request(connection, (unsigned)unit);
    } else {
        connection->waiting[(connection->head + connection->count++) % units] = (uint8_t)unit;
    }
}

static void check_answer(const Connection *connection, const uint8_t *answer, ssize_t size) {
    ssize_t wanted = mode == WRITE ? 12 : 9 + 2 * registers;
    if (size == wanted && word_at(answer) == connection->transaction && word_at(answer + 2) == 0 &&
        word_at(answer + 4) == wanted - 6 && answer[6] == connection->unit &&
        answer[7] == (mode == WRITE ? WRITE_MANY : READ_HOLDING) && (mode == WRITE || answer[8] == 2 * registers))
        return;
    fprintf(stderr, "a wrong answer of %zd octets\n", size);
    exit(1);
}

static void receive(Connection *connection) {
    uint8_t answer[MAX_FRAME];
    ssize_t got = recv(connection->fd, answer, sizeof answer, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) fail("recv");
    check_answer(connection, answer, got);
    int unit = connection->unit;
    connection->unit = 0;
    connection->is_asked[unit - 1] = 0;
    polls++;
    if (connection->count) {
        int next = connection->waiting[connection->head];
        connection->head = (connection->head + 1) % units;
        connection->count--;
        send_request(connection, (unsigned)next);
    }
    if (mode == SATURATED) ask(connection, unit);
}

static void serve_events(int timeout_ms) {
    static struct epoll_event events[EVENTS];
    int ready = epoll_wait(epoll, events, EVENTS, timeout_ms);
    for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
}

static int open_connection(const char *port, int index) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    address.sin_addr.s_addr = htonl(FIRST_ADDRESS + (uint32_t)index);
    if (fd < 0) fail("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) fail("connect");
    return fd;
}

static void await_connected(int from, int to) {
    for (int i = from; i < to; i++) {
        int writable = epoll_create1(0), problem = 0;
        socklen_t size = sizeof problem;
        struct epoll_event event = {.events = EPOLLOUT}, ready;
        if (epoll_ctl(writable, EPOLL_CTL_ADD, connections[i].fd, &event)) fail("epoll_ctl");
        if (epoll_wait(writable, &ready, 1, 10000) != 1) fail("connect takes more than 10 s");
        getsockopt(connections[i].fd, SOL_SOCKET, SO_ERROR, &problem, &size);
        errno = problem;
        if (problem) fail("connect");
        close(writable);
        event = (struct epoll_event){.events = EPOLLIN, .data.ptr = &connections[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event)) fail("epoll_ctl");
    }
}

static void connect_all(const char *port, int first) {
    connections = calloc((size_t)connection_count, sizeof *connections);
    for (int from = 0; from < connection_count; from += MOST_CONNECTING) {
        int to = from + MOST_CONNECTING < connection_count ? from + MOST_CONNECTING : connection_count;
        for (int i = from; i < to; i++) {
            connections[i].fd = open_connection(port, first + i);
            connections[i].waiting = calloc(2, (size_t)units);
            connections[i].is_asked = connections[i].waiting + units;
        }
        await_connected(from, to);
    }
}

static void ask_all(void) {
    for (int i = 0; i < connection_count; i++)
        for (int unit = 1; unit <= units; unit++) ask(&connections[i], unit);
}

static void run_saturated(double until) {
    while (now_s() < until) serve_events(100);
}

/* The grid of slots goes on from call to call. */
static void run_paced(double until, double period_s, double *lateness, int *ticks) {
    static long slot;
    static double epoch;
    long items = (long)connection_count * units, slots = (long)(period_s / TICK_S + 1e-9);
    if (slots > items) slots = items;
    double slot_s = period_s / (double)slots;
    if (epoch == 0) epoch = now_s();
    for (;;) {
        double now = now_s(), due = epoch + (double)slot * slot_s;
        if (now >= until) return;
        if (now < due) {
            serve_events((int)ceil((due - now) * 1000));
            continue;
        }
        lateness[(*ticks)++] = now - due;
        long at = slot++ % slots;
        /* Ceiling division: the first item whose index * slots / items is `at`. */
        for (long item = (at * items + slots - 1) / slots; item * slots / items == at && item < items; item++)
            ask(&connections[item / units], (int)(item % units) + 1);
    }
}

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double cpu_s(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static void print_result(double cpu, double wall, double p99_s) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"polls\": %ld, \"cpu_s\": %.6f, \"wall_s\": %.6f, \"missed\": %ld, \"rss_mb\": %.1f, "
           "\"lateness_p99_s\": %.6f}\n",
           polls, cpu, wall, missed, (double)usage.ru_maxrss / 1024, p99_s);
}

static void read_for(double warmup_s, double seconds, double period_s) {
    int ticks = 0;
    double *lateness = calloc((size_t)((warmup_s + seconds) / TICK_S) + 100, sizeof *lateness), begun = now_s();
    if (mode == SATURATED) {
        ask_all();
        run_saturated(begun + warmup_s);
    } else {
        run_paced(begun + warmup_s, period_s, lateness, &ticks);
    }
    double from = now_s(), cpu = cpu_s();
    polls = missed = ticks = 0;
    if (mode == SATURATED)
        run_saturated(from + seconds);
    else
        run_paced(from + seconds, period_s, lateness, &ticks);
    cpu = cpu_s() - cpu;
    double wall = now_s() - from;
    qsort(lateness, (size_t)ticks, sizeof *lateness, ascending);
    print_result(cpu, wall, ticks ? lateness[ticks * 99 / 100] : 0);
}

/* The middle of `repeat` rounds, by wall time. */
static void write_all(int repeat) {
    double *walls = calloc((size_t)repeat, sizeof *walls), cpu = cpu_s();
    long wanted = (long)connection_count * units;
    for (int i = 0; i < repeat; i++) {
        double from = now_s();
        polls = 0;
        ask_all();
        while (polls < wanted) serve_events(-1);
        walls[i] = now_s() - from;
    }
    cpu = (cpu_s() - cpu) / repeat;
    qsort(walls, (size_t)repeat, sizeof *walls, ascending);
    print_result(cpu, walls[repeat / 2], 0);
}

int main(int argc, char **argv) {
    const char *name = option(argc, argv, "--mode", "saturated");
    mode = !strcmp(name, "write") ? WRITE : !strcmp(name, "paced") ? PACED : SATURATED;
    connection_count = atoi(option(argc, argv, "--connections", "1"));
    units = atoi(option(argc, argv, "--units", "1"));
    registers = atoi(option(argc, argv, "--registers", "20"));
    epoll = epoll_create1(0);
    if (epoll < 0 || connection_count < 1 || units < 1 || units > 247) fail("options");
    raise_open_files();
    connect_all(option(argc, argv, "--port", "502"), atoi(option(argc, argv, "--first", "0")));
    if (mode == WRITE)
        write_all(atoi(option(argc, argv, "--repeat", "1")));
    else
        read_for(atof(option(argc, argv, "--warmup", "0.5")), atof(option(argc, argv, "--seconds", "2")),
                 atof(option(argc, argv, "--period", "1")));
    return 0;
}
