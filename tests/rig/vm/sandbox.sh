#!/bin/sh
# SPDX-License-Identifier: MIT
# Run a program of a small Debian root, with this machine's files at /host in it.
#
#   sandbox.sh ROOT JOB TMPFS_SIZE COMMAND ARG...
#
# Runs inside mount and process namespaces of its own: the mounts go when the program goes. JOB
# (the directory that host and guest exchange files in) is at /host/run/zcrx-vm.
set -eu

root=$1 job=$2 tmpfs_size=$3
shift 3

# Not every machine has the command.
mount() { "$root/usr/bin/busybox" mount "$@"; }

mount -o rbind / "$root/host"
mount -t proc proc "$root/proc"
mount -o rbind /dev "$root/dev"
# The guest's memory is a file here, never on a disk.
mount -t tmpfs -o "size=$tmpfs_size,mode=1777" tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/host/run"
mkdir "$root/host/run/zcrx-vm"
mount -o bind "$job" "$root/host/run/zcrx-vm"

# Not exec: the first process of the namespace must be one that signals cannot confuse.
env -i PATH=/usr/sbin:/usr/bin HOME=/tmp TMPDIR=/dev/shm chroot "$root" "$@"
exit $?
