/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nic/claim/journal.h"
#include "scratch.h"

static char name[] = "/tmp/zcrx-nic-XXXXXX";

const char *scratch_name(void)
{
	return name;
}

void scratch_path(char *path, size_t size, const char *file)
{
	snprintf(path, size, "%s/%s", name, file);
}

int scratch_open(void)
{
	int fd;

	strcpy(name + strlen(name) - 6, "XXXXXX");
	if (!mkdtemp(name))
		abort();
	fd = zrx_journal_directory(name);
	if (fd < 0)
		abort();
	return fd;
}

/* Calls the visitor's job for each file: counts journals, or removes everything. */
static int scratch_visit(int remove)
{
	DIR *files = opendir(name);
	struct dirent *file;
	int journals = 0;

	while ((file = readdir(files))) {
		journals += !!strstr(file->d_name, ".journal");
		if (remove && file->d_name[0] != '.')
			unlinkat(dirfd(files), file->d_name, 0);
	}
	closedir(files);
	return journals;
}

int scratch_journals(void)
{
	return scratch_visit(0);
}

void scratch_close(int directory)
{
	close(directory);
	scratch_visit(1);
	rmdir(name);
}
