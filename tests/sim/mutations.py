#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bugs put into the core on purpose: the simulated kernel must find each of them.

Each changes one place of a copy of one file; a place that is not found exactly once is a failure, so
that a mutation cannot be lost when the core changes.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

SEEDS = "1-1200"
SECONDS = 120
MINIMISED = {"backlog-lost", "late-timer-masks"}  # their failing runs are minimised, too
FEW_ACTIONS = 25


class Mutation(NamedTuple):
    name: str
    file: str
    old: str
    new: str


MUTATIONS = [
    Mutation("backlog-lost", "refill.c", "refill->backlog = fill(area,", "fill(area,"),
    Mutation("entry-skipped", "refill.c", "tail++;", "tail += 2;"),
    Mutation(
        "refill-ring-overrun",
        "refill.c",
        "uint32_t room = refill->entry_count - ",
        "uint32_t room = refill->entry_count + 1 - ",
    ),
    Mutation(
        "refilled-twice", "refill.c", "chain.count -= done.count;", "tail++;\n\tchain.count -= done.count;"
    ),
    Mutation(
        "list-not-seen-again",
        "refill.c",
        "locked = atomic_load_explicit(&area->returned, memory_order_seq_cst) &&\n\t\t\t try_lock(refill);",
        "locked = 0;",
    ),
    Mutation("missed-wake", "buffer.c", "zrx_area_nudge(area);", ";"),
    Mutation("second-release-unseen", "buffer.c", "return -EALREADY;", ";"),
    Mutation("release-forgotten", "buffer.c", "slot->next = chain->head;\n", "slot->next = 0;\n"),
    Mutation(
        "view-not-counted",
        "receiver.c",
        "atomic_fetch_add_explicit(&area->references, sink->buffers,",
        "(void)(",
    ),
    Mutation("close-without-stop", "receiver.c", "stopped = receiver->engine->stop(receiver);", ";"),
    Mutation(
        "ring-gone-before-its-views",
        "engine_zcrx.c",
        "return !(state->queue.features & ZRX_FEATURE_EVENTS);",
        "return 0;",
    ),
    Mutation("led-to-a-closed-queue", "receiver.c", "receiver->engine->retire(receiver);", ";"),
    Mutation("sockets-kept", "receiver.c", "if (stopped > 0)", "if (0)"),
    Mutation("freed-while-bound", "area.c", "if (area->lost)", "if (0)"),
    Mutation("bound-and-not-told", "receiver.c", "receiver->area->lost = 1;", ";"),
    Mutation(
        "descriptor-kept",
        "receiver.c",
        "zrx_fork_close_stream(stream);\n\t\tzrx_stream_free",
        "zrx_stream_free",
    ),
    Mutation(
        "stale-user-data", "ring.c", "sqe->addr = zrx_stream_handle(stream);", "sqe->addr = stream->index;"
    ),
    Mutation("overflow-is-final", "stream_life.c", "case -ENOSPC:\n", ""),
    Mutation("limit-ignored", "fill.c", "room < stream->remaining ? room : stream->remaining", "room"),
    Mutation("chunk-not-held", "fill.c", "zrx_chunk_hold(chunks, fill->chunk - 1);", ""),
    Mutation("position-not-kept", "engine_multishot.c", "chunk->position += (uint32_t)cqe->res;", ""),
    Mutation("posted-miscounted", "engine_multishot.c", "posted--;", ";"),
    Mutation("silence-not-seen", "engine_zcrx.c", "look_for_silent(state, receiver);\n", ""),
    Mutation("never-flushed", "engine_zcrx.c", "if (!due ||", "if (1 ||"),
    Mutation(
        "completion-skipped",
        "engine_zcrx.c",
        "zrx_ring_consumed(&state->ring, head);",
        "zrx_ring_consumed(&state->ring, head + (head != tail));",
    ),
    Mutation("area-mask-dropped", "engine_zcrx.c", "second->off & ~ZRX_UAPI_AREA_MASK", "second->off"),
    Mutation("not-disarmed", "engine_recv.c", "EPOLL_CTL_DEL", "EPOLL_CTL_MOD"),
    Mutation("late-timer-masks", "ring.c", "if (armed && ring->timer_at <= at_ns)", "if (armed)"),
    Mutation(
        "due-work-not-announced",
        "receiver.c",
        "(receiver->engine->needs_wait && receiver->engine->needs_wait(receiver))",
        "0",
    ),
    Mutation(
        "error-not-polled",
        "receiver.c",
        "return result < 0 || sink->error || sink->count",
        "return sink->count",
    ),
    Mutation(
        "polled-by-nobody",
        "receiver.c",
        "if (atomic_load_explicit(&area->polled, memory_order_relaxed) &&\n\t    unfinished",
        "if (unfinished",
    ),
    Mutation(
        "one-kind-blocks-the-other",
        "stream_life.c",
        "&receiver->parked[stream->remaining != UINT64_MAX]",
        "&receiver->parked[0]",
    ),
    Mutation(
        "return-after-shortage-lost",
        "engine_zcrx.c",
        "state->spent = stream->taken;",
        "state->spent = zrx_refill_taken(refill_of(receiver));",
    ),
    Mutation("stop-without-end", "ring.c", "if (vain == STOP_VAIN)", "if (0)"),
    Mutation("loss-not-told", "ring.c", "if (IO_URING_READ_ONCE(*ring->uring.cq.koverflow))", "if (0)"),
    Mutation(
        "flush-resumes-nobody",
        "engine_zcrx.c",
        "return zrx_refill_taken(refill_of(receiver)) - state->spent;",
        "return 0;",
    ),
]


def mutate(core: Path, mutation: Mutation, where: Path) -> Path:
    """Write a changed copy of the file, beside links to all the others."""
    where.mkdir(parents=True, exist_ok=True)
    text = (core / mutation.file).read_text()
    if text.count(mutation.old) != 1:
        sys.exit(
            f"mutations: {mutation.name}: its place in {mutation.file} is there "
            f"{text.count(mutation.old)} times, not once: adapt the mutation"
        )
    changed = where / mutation.file
    changed.write_text(text.replace(mutation.old, mutation.new))
    return changed


def build(objects: list[Path], mutation: Mutation, source: Path) -> Path:
    compiler = shlex.split(os.environ.get("CC", "cc"))
    flags = shlex.split(os.environ["SIM_COMPILE"])
    mutant = source.with_suffix(".o")
    program = source.with_name("sim")
    subprocess.run([*compiler, *flags, "-w", "-c", source, "-o", mutant], check=True)
    replaced = Path("core", mutation.file).with_suffix(".o")
    others = [path for path in objects if path.parts[-2:] != replaced.parts]
    subprocess.run([*compiler, "-o", program, mutant, *others, "-lpthread"], check=True)
    return program


def verdict(program: Path) -> str:
    """What the simulation said; empty if it found nothing."""
    result = subprocess.run(
        [program, SEEDS],
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
    )
    if result.returncode == 0:
        return ""
    lines = result.stderr.splitlines()
    return lines[0].removeprefix("sim: ") if lines else f"exit status {result.returncode}"


def not_minimised(program: Path, found: str) -> str:
    """Whether the failing run is brought down to a few actions that fail so; else what is wrong."""
    seed, reason = found.removeprefix("seed ").split(": ", 1)
    result = subprocess.run(
        [program, "--minimise", seed], check=False, capture_output=True, text=True, timeout=SECONDS
    )
    size = re.search(r"(\d+) actions, (\d+) choices", result.stdout)
    if not size or int(size[1]) > FEW_ACTIONS:
        return f"minimised to {size[0] if size else result.stdout + result.stderr}"
    wanted = re.sub(r"\d", "", reason)
    return "" if wanted in re.sub(r"\d", "", result.stderr) else "the minimised run fails otherwise"


def main() -> int:
    core, scratch, program, *objects = (Path(argument) for argument in sys.argv[1:])
    survived = []
    if found := verdict(program):
        sys.exit(f"mutations: the core fails as it is: {found}")
    chosen = [mutation for mutation in MUTATIONS if os.environ.get("ONLY", "") in mutation.name]
    for mutation in chosen:
        began = time.monotonic()
        source = mutate(core, mutation, scratch / mutation.name)
        try:
            found = verdict(build(objects, mutation, source))
        except subprocess.TimeoutExpired:
            found = ""
        seconds = time.monotonic() - began
        print(
            f"{'caught' if found else 'SURVIVED':8} {mutation.name:22} {seconds:5.1f} s  {found}", flush=True
        )
        if not found:
            survived.append(mutation.name)
        elif mutation.name in MINIMISED and (wrong := not_minimised(scratch / mutation.name / "sim", found)):
            sys.exit(f"mutations: {mutation.name}: {wrong}")
    print(f"mutations: {len(chosen) - len(survived)} of {len(chosen)} caught")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
