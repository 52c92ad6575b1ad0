/*
 * Stands before libc (LD_PRELOAD) and fails on demand, as disks and clocks do. What fails says the file that
 * FLOTILLA_FAULTS names, one word per line, read again at most every 20 ms:
 *   fsync     flushes fail with EIO
 *   full      writes to regular files fail with ENOSPC
 *   in PART   both of these only for files whose path contains PART, which ends the line
 *   clock N   the wall clock is N seconds off; the monotonic one goes on
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static atomic_int fsync_fails, disk_full;
static atomic_long clock_off;
static atomic_llong next_look_ms;
/* Two, so that one is whole while the other is written: whoever looks is one at a time for 20 ms. */
static char parts[2][128];
static atomic_int part_now;

static long long now_ms(void) {
  struct timespec now;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* System calls only: the functions below stand in their own way otherwise. */
static void look(void) {
  long long now = now_ms();
  if (now < atomic_load(&next_look_ms)) return;
  atomic_store(&next_look_ms, now + 20);
  const char *path = getenv("FLOTILLA_FAULTS");
  int kept = errno;
  char text[256] = {0};
  long fd = path == NULL ? -1 : syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    long length = syscall(SYS_read, fd, text, sizeof text - 1);
    if (length < 0) text[0] = 0;
    syscall(SYS_close, fd);
  }
  const char *off = strstr(text, "clock ");
  const char *in = strstr(text, "in ");
  size_t length_in = in == NULL ? 0 : strcspn(in + 3, "\n");
  int other = 1 - atomic_load(&part_now);
  if (length_in >= sizeof parts[0]) length_in = sizeof parts[0] - 1;
  if (length_in > 0) memcpy(parts[other], in + 3, length_in);
  parts[other][length_in] = 0;
  atomic_store(&part_now, other);
  atomic_store(&fsync_fails, strstr(text, "fsync") != NULL);
  atomic_store(&disk_full, strstr(text, "full") != NULL);
  atomic_store(&clock_off, off == NULL ? 0 : atol(off + 6));
  errno = kept;
}

/* Whether what fails fails for this file. */
static int concerns(int fd) {
  const char *part = parts[atomic_load(&part_now)];
  if (part[0] == 0) return 1;
  char link[40], path[1024];
  int kept = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
  errno = kept;
  if (length < 0) return 0;
  path[length] = 0;
  return strstr(path, part) != NULL;
}

static int refuses(int fd) {
  look();
  if (!atomic_load(&disk_full)) return 0;
  struct stat about;
  if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) return 0;
  if (!concerns(fd)) return 0;
  errno = ENOSPC;
  return 1;
}

int fsync(int fd) {
  look();
  if (atomic_load(&fsync_fails) && concerns(fd)) { errno = EIO; return -1; }
  return (int)syscall(SYS_fsync, fd);
}
int fdatasync(int fd) {
  look();
  if (atomic_load(&fsync_fails) && concerns(fd)) { errno = EIO; return -1; }
  return (int)syscall(SYS_fdatasync, fd);
}
ssize_t write(int fd, const void *bytes, size_t count) {
  return refuses(fd) ? -1 : syscall(SYS_write, fd, bytes, count);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  return refuses(fd) ? -1 : syscall(SYS_writev, fd, parts, count);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
  return refuses(fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, count, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
  return refuses(fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, count, at);
}
int ftruncate(int fd, off_t length) {
  return refuses(fd) ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}
int ftruncate64(int fd, off64_t length) {
  return refuses(fd) ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}
int fallocate(int fd, int mode, off_t at, off_t length) {
  return refuses(fd) ? -1 : (int)syscall(SYS_fallocate, fd, mode, at, length);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*next)(clockid_t, struct timespec *);
  if (next == NULL) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = next(clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    look();
    now->tv_sec += atomic_load(&clock_off);
  }
  return result;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec precise;
  int result = clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return result;
}
