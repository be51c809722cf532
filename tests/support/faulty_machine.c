/* A machine with a full, slow or read-only disk, or a clock that jumps: for one process, by LD_PRELOAD.
 *
 * FAULTY_MACHINE names a file that holds `struct orders`; it is mapped, so that whoever writes it changes the
 * machine while the process runs. Disk faults strike only files below the directory in FAULTY_DISK. Written after
 * libfiu's and libfaketime's example; see faulty_machine.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct orders {
    int64_t full; /* 1: the disk has `room` bytes left */
    int64_t room;
    int64_t fail_per_million; /* of writes and syncs, with ENOSPC, drawn from `chance` */
    int64_t chance;
    int64_t read_only; /* 1: nothing can be written, made, renamed or removed: EROFS */
    int64_t write_delay_us;
    int64_t sync_delay_us;
    int64_t clock_ahead_ns; /* what the wall clock shows more than it should */
    int64_t failed;         /* from here on: what happened */
    int64_t delayed;
};

static volatile struct orders *orders;
static const char *disk;
static size_t disk_length;

#define REAL(name) \
    ({ \
        static __typeof__(&name) found; \
        if (found == NULL) \
            found = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
        found; \
    })

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTY_MACHINE");
    disk = getenv("FAULTY_DISK");
    disk_length = disk ? strlen(disk) : 0;
    if (path == NULL)
        return;
    int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        abort();
    void *mapped = mmap(NULL, sizeof(struct orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        abort();
    orders = mapped;
    close(fd);
}

static int on_disk(const char *path) {
    if (orders == NULL || disk_length == 0 || path == NULL)
        return 0;
    char whole[PATH_MAX];
    if (path[0] != '/') {
        if (getcwd(whole, sizeof whole - 1) == NULL)
            return 0;
        size_t length = strlen(whole);
        snprintf(whole + length, sizeof whole - length, "/%s", path);
        path = whole;
    }
    return strncmp(path, disk, disk_length) == 0 && (path[disk_length] == '/' || path[disk_length] == 0);
}

static int is_on_disk(int fd) {
    if (orders == NULL || disk_length == 0)
        return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return on_disk(path);
}

static void delay(int64_t us) {
    if (us > 0) {
        struct timespec time = {us / 1000000, us % 1000000 * 1000};
        __sync_fetch_and_add(&orders->delayed, 1);
        nanosleep(&time, NULL);
    }
}

static int full(int64_t bytes) {
    if (orders->full && __sync_sub_and_fetch(&orders->room, bytes) < 0)
        return 1;
    if (orders->fail_per_million > 0) { /* Knuth's MMIX generator */
        uint64_t drawn = (uint64_t)__sync_add_and_fetch(&orders->chance, 1);
        drawn = drawn * 6364136223846793005ULL + 1442695040888963407ULL;
        return (int64_t)((drawn >> 33) % 1000000) < orders->fail_per_million;
    }
    return 0;
}

/* Whether this write must fail; waits as long as it takes. */
static int strike(int fd, int64_t bytes) {
    if (orders == NULL)
        return 0;
    if (!(orders->full || orders->fail_per_million || orders->write_delay_us || orders->read_only))
        return 0;
    if (!is_on_disk(fd))
        return 0;
    delay(orders->write_delay_us);
    if (!orders->read_only && !full(bytes))
        return 0;
    __sync_fetch_and_add(&orders->failed, 1);
    errno = orders->read_only ? EROFS : ENOSPC;
    return 1;
}

static int strike_sync(int fd) {
    if (orders == NULL || !(orders->fail_per_million || orders->sync_delay_us) || !is_on_disk(fd))
        return 0;
    delay(orders->sync_delay_us);
    if (!full(0))
        return 0;
    __sync_fetch_and_add(&orders->failed, 1);
    errno = ENOSPC;
    return 1;
}

static int forbidden(const char *path) {
    if (orders == NULL || !orders->read_only || !on_disk(path))
        return 0;
    __sync_fetch_and_add(&orders->failed, 1);
    errno = EROFS;
    return 1;
}

/* -- writing ---------------------------------------------------------------------------------------------- */

ssize_t write(int fd, const void *data, size_t count) {
    return strike(fd, count) ? -1 : REAL(write)(fd, data, count);
}

ssize_t pwrite(int fd, const void *data, size_t count, off_t at) {
    return strike(fd, count) ? -1 : REAL(pwrite)(fd, data, count, at);
}

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) {
    return strike(fd, count) ? -1 : REAL(pwrite64)(fd, data, count, at);
}

ssize_t writev(int fd, const struct iovec *pieces, int number) {
    int64_t count = 0;
    for (int i = 0; i < number; i++)
        count += pieces[i].iov_len;
    return strike(fd, count) ? -1 : REAL(writev)(fd, pieces, number);
}

int fsync(int fd) {
    return strike_sync(fd) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd) {
    return strike_sync(fd) ? -1 : REAL(fdatasync)(fd);
}

/* -- opening and changing directories --------------------------------------------------------------------- */

#define WRITES(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND))
#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return WRITES(flags) && forbidden(path) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return WRITES(flags) && forbidden(path) ? -1 : REAL(open64)(path, flags, mode);
}

int openat(int at, const char *path, int flags, ...) {
    MODE(flags)
    return WRITES(flags) && forbidden(path) ? -1 : REAL(openat)(at, path, flags, mode);
}

FILE *fopen(const char *path, const char *how) {
    return strpbrk(how, "wa+") && forbidden(path) ? NULL : REAL(fopen)(path, how);
}

FILE *fopen64(const char *path, const char *how) {
    return strpbrk(how, "wa+") && forbidden(path) ? NULL : REAL(fopen64)(path, how);
}

int mkdir(const char *path, mode_t mode) {
    return forbidden(path) ? -1 : REAL(mkdir)(path, mode);
}

int unlink(const char *path) {
    return forbidden(path) ? -1 : REAL(unlink)(path);
}

int rmdir(const char *path) {
    return forbidden(path) ? -1 : REAL(rmdir)(path);
}

int rename(const char *from, const char *to) {
    return forbidden(to) ? -1 : REAL(rename)(from, to);
}

int unlinkat(int at, const char *path, int flags) {
    if (orders != NULL && orders->read_only && is_on_disk(at)) {
        errno = EROFS;
        return -1;
    }
    return REAL(unlinkat)(at, path, flags);
}

/* -- the wall clock --------------------------------------------------------------------------------------- */

#define BILLION 1000000000LL

static void shift(struct timespec *time, int64_t ns) {
    int64_t whole = time->tv_sec * BILLION + time->tv_nsec + ns;
    time->tv_sec = whole / BILLION;
    time->tv_nsec = whole % BILLION;
}

static int64_t ahead(void) {
    return orders == NULL ? 0 : orders->clock_ahead_ns;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = REAL(clock_gettime)(clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        shift(time, ahead());
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *stored) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (stored != NULL)
        *stored = now.tv_sec;
    return now.tv_sec;
}

/* Who waits until a time on the wall clock took it from ours; the kernel waits by its own. */
int sem_timedwait(sem_t *restrict sem, const struct timespec *restrict until) {
    struct timespec kernels = *until;
    shift(&kernels, -ahead());
    return REAL(sem_timedwait)(sem, &kernels);
}
