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

SEEDS = "1-4000"
GROUP_SEEDS = " ".join(f"{seed}-{seed + 3}" for seed in range(160012, 172012, 12))
SECONDS = 300
MINIMISED = {"backlog-lost", "late-timer-masks"}  # their failing runs are minimised, too
MOST_LEFT = 0.75  # of their actions: which run fails first, and what it needs, changes with the core


class Mutation(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    seeds: str = SEEDS  # of what few runs meet, those that do


MUTATIONS = [
    Mutation("backlog-lost", "refill.c", "owed->references += references;", ""),
    Mutation("backlog-out-of-its-list", "refill.c", "\tif (!owed->references) {", "\tif (1) {"),
    Mutation(
        "holds-left-in-the-backlog",
        "refill.c",
        "\tsettled(area, chain);\n",
        "\tif (!filling.refill->backlog.head)\n\t\tsettled(area, chain);\n",
    ),
    Mutation("backlog-looked-for-too-often", "engine_zcrx.c", "if (*wait_ns < RETRY_LAST_NS)", "if (0)"),
    Mutation("entry-skipped", "refill.c", "filling->written++), offset)", "++filling->written), offset)"),
    Mutation(
        "refill-ring-overrun",
        "refill.c",
        "return refill->entry_count - ",
        "return refill->entry_count + 1 - ",
    ),
    Mutation(
        "refilled-twice",
        "refill.c",
        "references = fill_chunk(filling, chunk, references);",
        "references = fill_chunk(filling, chunk, references + 1);",
    ),
    Mutation(
        "list-not-seen-again",
        "refill.c",
        "locked = atomic_load_explicit(&area->returned, memory_order_seq_cst) &&\n\t\t\t try_lock(refill);",
        "locked = 0;",
    ),
    Mutation("missed-wake", "buffer.c", "zrx_area_nudge(area);", ";"),
    Mutation("second-release-unseen", "buffer.c", "return -EALREADY;", ";"),
    Mutation(
        "release-forgotten", "buffer.c", "holds->next[index] = chain->head;\n", "holds->next[index] = 0;\n"
    ),
    Mutation(
        "view-not-counted",
        "receiver.c",
        "atomic_fetch_add_explicit(&area->references, sink->buffers,",
        "(void)(",
    ),
    Mutation("close-without-stop", "receiver.c", "stopped = receiver->engine->stop(receiver);", ";"),
    Mutation(
        "ring-gone-before-its-views",
        "engine_zcrx_open.c",
        "return !(state->queue.features & ZRX_FEATURE_EVENTS);",
        "return 0;",
    ),
    Mutation("led-to-a-closed-queue", "receiver.c", "receiver->engine->retire(receiver);", ";"),
    Mutation("sockets-kept", "receiver.c", "if (stopped > 0)", "if (0)"),
    Mutation("freed-while-bound", "area.c", "if (area->lost)", "if (0)"),
    Mutation(
        "bound-and-not-told", "area.c", "(area->lender ? area->lender : area)->lost = 1;", "(void)area;"
    ),
    Mutation(
        "descriptor-kept",
        "receiver.c",
        "zrx_fork_close_stream(stream);\n\t\tzrx_stream_drop",
        "zrx_stream_drop",
    ),
    Mutation(
        "stale-user-data", "ring.c", "sqe->addr = zrx_stream_handle(stream);", "sqe->addr = stream->index;"
    ),
    Mutation("overflow-is-final", "stream_life.c", "case -ENOSPC:\n", ""),
    Mutation("limit-ignored", "fill.c", "room < stream->remaining ? room : stream->remaining", "room"),
    Mutation("chunk-not-held", "row.c", "chunk->references++;", ""),
    Mutation("position-not-kept", "engine_multishot.c", "chunk->position += length;", ""),
    Mutation("posted-miscounted", "engine_multishot.c", "chunks->posted -= count;", ";"),
    Mutation(
        "posted-another-than-released",
        "engine_multishot.c",
        "set_post(entry, chunk,",
        "set_post(entry, chunk ^ 1,",
    ),
    Mutation("joined-while-returning", "hold.c", "if (!(word & ZRX_HOLD_OUT))", "if (0)"),
    Mutation("last-view-not-last", "buffer.c", "if (left & ZRX_HOLD_OUT)\n", "if (0)\n"),
    Mutation("half-filled-chunk-forgotten", "refill.c", "\t\tif (owed->references)\n\t\t\tbreak;\n", ""),
    Mutation("joined-completion-not-returned", "engine_zcrx.c", "zrx_hold_refer(row->holds, row->hold)", "1"),
    Mutation("window-ignored", "window.c", "if (stream->state != ZRX_STREAM_ARMED ||", "if (1 ||"),
    Mutation("credit-never-grows", "window.c", "credit < stream->granted * 2)", "0)"),
    Mutation(
        "window-never-opens", "window.c", "return windows->automatic >= windows->resume_at ||", "return"
    ),
    Mutation(
        "entry-used-again-too-early",
        "stream_life.c",
        "if (!stream->held && !(stream->flags",
        "if (!(stream->flags",
    ),
    Mutation(
        "parked-at-its-window", "stream_life.c", "ZRX_STREAM_BY_HAND | ZRX_STREAM_AT_WINDOW) ||", "0) ||"
    ),
    Mutation("others-returns-not-credited", "receiver.c", "settle_list(receiver, &area->settled);", ";"),
    Mutation(
        "resting-not-woken",
        "receiver.c",
        "zrx_any_parked(receiver) || receiver->windows.at_window.first",
        "zrx_any_parked(receiver)",
    ),
    Mutation(
        "reset-not-seen",
        "engine_zcrx.c",
        "zrx_sys_socket_polls(stream->fd)",
        "zrx_sys_socket_pending(stream->fd)",
    ),
    Mutation("silence-not-seen", "engine_zcrx.c", "look_for_silent(state, receiver);\n", ""),
    Mutation("never-flushed", "engine_zcrx.c", "if (!due ||", "if (1 ||"),
    Mutation(
        "completion-skipped",
        "engine_zcrx.c",
        "zrx_ring_consumed(&state->ring, head);",
        "zrx_ring_consumed(&state->ring, head + (head != tail));",
    ),
    Mutation("area-token-kept", "engine_zcrx.c", "if (!linear)", "if (0)"),
    Mutation(
        "part-begins-elsewhere", "parts.c", "linear - part->start + part->token", "linear + part->token"
    ),
    Mutation(
        "part-taken-for-the-first", "engine_zcrx.c", "if (!zrx_parts_linear_all(parts))", "if (parts->token)"
    ),
    Mutation("parked-without-growth", "receiver.c", "|| zrx_grow(receiver);", ";"),
    Mutation(
        "growth-at-no-window",
        "window.c",
        "windows->resume_at != UINT64_MAX &&\n\t       zrx_grow(receiver)",
        "0",
    ),
    Mutation("growth-in-a-spin", "grow.c", "zrx_sys_now_ns() + growth->delay_ns;", "0;"),
    Mutation("growth-not-tried-again", "grow.c", "if (!receiver->growth.wanted || !timeout_ns)", "if (1)"),
    Mutation("growth-kept-though-refused", "grow.c", "zrx_area_give_up(receiver->area, bytes);", ";"),
    Mutation("not-disarmed", "engine_recv.c", "EPOLL_CTL_DEL, stream->fd", "EPOLL_CTL_MOD, stream->fd"),
    Mutation("late-timer-masks", "ring.c", "if (armed && ring->timer_at <= at_ns)", "if (armed)"),
    Mutation(
        "due-work-not-announced",
        "receiver.c",
        "(receiver->engine->needs_wait && receiver->engine->needs_wait(receiver))",
        "0",
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
        "state->spent = zrx_refill_taken(zrx_zcrx_refill(receiver));",
    ),
    Mutation("stop-without-end", "ring.c", "if (vain == STOP_VAIN)", "if (0)"),
    Mutation(
        "loss-not-told", "ring.c", "return IO_URING_READ_ONCE(*ring->uring.cq.koverflow) != 0;", "return 0;"
    ),
    Mutation(
        "flush-resumes-nobody",
        "engine_zcrx.c",
        "return zrx_refill_taken(zrx_zcrx_refill(receiver)) - state->spent;",
        "return 0;",
    ),
    Mutation("full-inbox-unseen", "inbox.c", "return -ENOBUFS;", "turn = 0;", seeds=GROUP_SEEDS),
    Mutation("inbox-wakes-nobody", "inbox.c", "zrx_area_nudge(inbox->area);", ";", seeds=GROUP_SEEDS),
    Mutation(
        "inbox-read-before-written",
        "inbox.c",
        "slot->arrival = *arrival;\n",
        "atomic_store_explicit(&slot->turn, at + 1, memory_order_seq_cst);\n"
        "\t\tslot->arrival = *(atomic_load_explicit(&inbox->tail, memory_order_relaxed), arrival);\n",
        seeds=GROUP_SEEDS,
    ),
    Mutation(
        "inbox-closed-amid-a-push",
        "inbox.c",
        "while (atomic_load_explicit(&inbox->producers, memory_order_acquire) != ZRX_INBOX_CLOSED)",
        "while (0)",
        seeds=GROUP_SEEDS,
    ),
    Mutation(
        "inbox-not-looked-at-before-sleep",
        "receiver.c",
        "if (receiver->inbox && zrx_intake_due(receiver))",
        "if (0)",
        seeds=GROUP_SEEDS,
    ),
    Mutation("refused-and-kept", "intake.c", "zrx_group_let_go(group, arrival);", ";", seeds=GROUP_SEEDS),
    Mutation(
        "accepting-not-tried-again",
        "intake.c",
        "if (!at || !timeout_ns)",
        "if (1)",
        seeds=GROUP_SEEDS,
    ),
    Mutation(
        "event-loop-not-reminded",
        "intake.c",
        "receiver->engine->remind(receiver, inbox->retry_at)",
        "1",
        seeds=GROUP_SEEDS,
    ),
    Mutation(
        "handed-over-and-kept",
        "intake.c",
        "if (!result) {\n\t\tinbox->kept.given = -1;\n",
        "if (!result) {\n",
        seeds=GROUP_SEEDS,
    ),
    Mutation("listener-lost-twice", "intake.c", "if (before & 1u << listener)", "if (1)", seeds=GROUP_SEEDS),
    Mutation("inbox-left-behind", "group.c", "\tgroup_empty(inbox);\n", "", seeds=GROUP_SEEDS),
    Mutation(
        "kept-connection-left-behind", "group.c", "group_pass_on(inbox, inbox->kept);", ";", seeds=GROUP_SEEDS
    ),
    Mutation(
        "duplicate-of-a-full-inbox-kept",
        "group.c",
        "zrx_sys_close(arrival->own);\n\t\tarrival->own = -1;",
        "arrival->own = -1;",
        seeds=GROUP_SEEDS,
    ),
    Mutation(
        "listener-left-non-blocking", "listen.c", "if (listener->blocking)", "if (0)", seeds=GROUP_SEEDS
    ),
    Mutation(
        "the-next-descriptor-taken-by-others",
        "intake.c",
        "intake_starve(inbox->group);",
        ";",
        seeds=GROUP_SEEDS,
    ),
    Mutation(
        "reminder-of-a-later-time-lost", "ring.c", "zrx_intake_reminded(receiver);", ";", seeds=GROUP_SEEDS
    ),
    Mutation(
        "routed-by-the-callers-descriptor",
        "group.c",
        "arrival->own >= 0 ? arrival->own : arrival->given",
        "arrival->given",
        seeds=GROUP_SEEDS,
    ),
    Mutation(
        "told-amid-a-receive",
        "stream_life.c",
        "\tzrx_list_append(&receiver->queued, stream);\n\tzrx_streams_counted(receiver, 1);",
        "\ttell_event_loop(receiver, &receiver->queued);\n"
        "\tzrx_list_append(&receiver->queued, stream);\n\tzrx_streams_counted(receiver, 1);",
        seeds=GROUP_SEEDS,
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


def verdict(program: Path, seeds: str = SEEDS) -> str:
    """What the simulation said; empty if it found nothing."""
    result = subprocess.run(
        [program, *seeds.split()],
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
    size = re.search(r"(\d+) of (\d+) actions, \d+ of \d+ choices", result.stdout)
    if not size or int(size[1]) > MOST_LEFT * int(size[2]):
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
            found = verdict(build(objects, mutation, source), mutation.seeds)
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
