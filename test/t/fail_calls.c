/*
 * Preloaded into a server, fails one of the calls that it makes on the files below one directory: the one whose number
 * is in a file, with the error that stands beside it. Every call is counted and named in another file.
 *
 * A full disk accepts a part first: posix_fallocate and pwrite do half of their work before they fail.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

static int number;
static int ours_open;    /* the next anonymous mapping without access is for the journal */

static int below(const char *path)
{
	const char *directory = getenv("FAIL_BELOW");

	return directory && path && strncmp(path, directory, strlen(directory)) == 0;
}

static int is_ours(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t size;
	int before = errno;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	size = readlink(link, path, sizeof path - 1);
	errno = before;
	if (size < 0)
		return 0;
	path[size] = '\0';
	return below(path);
}

/* Counts the call; the error it fails with, or 0. FAIL_PLAN: "number errno". */
static int fault(const char *name)
{
	const char *plan = getenv("FAIL_PLAN"), *calls = getenv("FAIL_CALLS");
	FILE *file;
	int wanted = 0, error = 0;

	++number;
	if (plan && (file = fopen(plan, "r")))
	{
		if (fscanf(file, "%d %d", &wanted, &error) != 2)
			error = 0;
		fclose(file);
	}
	if (wanted != number)
		error = 0;
	if (calls && (file = fopen(calls, "a")))
	{
		fprintf(file, "%d %s%s\n", number, name, error ? " failed" : "");
		fclose(file);
	}
	return error;
}

#define FAIL_IF(ours, name, result) \
	do { \
		int error = (ours) ? fault(name) : 0; \
		if (error) { errno = error; return result; } \
	} while (0)

int open(const char *path, int flags, ...)
{
	va_list rest;
	mode_t mode;

	va_start(rest, flags);
	mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
	va_end(rest);
	FAIL_IF(below(path), "open", -1);
	if (below(path))
		ours_open = 1;
	return REAL(open)(path, flags, mode);
}

int mkdir(const char *path, mode_t mode)
{
	FAIL_IF(below(path), "mkdir", -1);
	return REAL(mkdir)(path, mode);
}

int rename(const char *from, const char *to)
{
	FAIL_IF(below(from), "rename", -1);
	return REAL(rename)(from, to);
}

int flock(int fd, int operation)
{
	FAIL_IF(is_ours(fd), "flock", -1);
	return REAL(flock)(fd, operation);
}

int fstat(int fd, struct stat *info)
{
	FAIL_IF(is_ours(fd), "fstat", -1);
	return REAL(fstat)(fd, info);
}

int fsync(int fd)
{
	FAIL_IF(is_ours(fd), "fsync", -1);
	return REAL(fsync)(fd);
}

int fdatasync(int fd)
{
	FAIL_IF(is_ours(fd), "fdatasync", -1);
	return REAL(fdatasync)(fd);
}

int ftruncate(int fd, off_t size)
{
	FAIL_IF(is_ours(fd), "ftruncate", -1);
	return REAL(ftruncate)(fd, size);
}

int posix_fallocate(int fd, off_t from, off_t size)
{
	int error = is_ours(fd) ? fault("posix_fallocate") : 0;

	if (error)
	{
		REAL(posix_fallocate)(fd, from, size / 2);
		return error;
	}
	return REAL(posix_fallocate)(fd, from, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
	int error = is_ours(fd) ? fault("pwrite") : 0;

	if (error)
	{
		REAL(pwrite)(fd, data, size / 2, at);
		errno = error;
		return -1;
	}
	return REAL(pwrite)(fd, data, size, at);
}

void *mmap(void *at, size_t size, int access, int flags, int fd, off_t offset)
{
	int reserves = ours_open && fd < 0 && access == PROT_NONE && (flags & MAP_NORESERVE);

	FAIL_IF(reserves || (fd >= 0 && is_ours(fd)), "mmap", MAP_FAILED);
	return REAL(mmap)(at, size, access, flags, fd, offset);
}

int msync(void *at, size_t size, int flags)
{
	/* The server itself has no mapped files. */
	FAIL_IF(ours_open, "msync", -1);
	return REAL(msync)(at, size, flags);
}
