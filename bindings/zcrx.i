/* SPDX-License-Identifier: MIT */
/*
 * The control calls of zcrx.h for Python, as the private module zcrx._control. Types, constants
 * and functions are read from the header, so that nothing is typed twice. Opening, adding,
 * receiving and releasing are not here: these are the hot types' (python/src).
 */
%module _control

%{
#include "zpy.h"
%}

%include "stdint.i"
#define _Static_assert(condition, text)
/* A struct and a call that share a name: SWIG takes the struct, which comes first; the call is named below. */
#pragma SWIG nowarn=302

%init %{
  if (zpy_module_exec(m) < 0)
    return -1;
%}

/* ---- results: a negative errno is an exception ---- */

%typemap(out) int zrx_probe, int zrx_receiver_fd, int zrx_receiver_wake, int zrx_receiver_stats,
    int zrx_receiver_info, int zrx_receiver_refusal, int zrx_probe_refusal {
  if ($1 < 0) {
    zpy_raise_new($1, ZRX_STAGE_NONE, "$symname failed", "");
    SWIG_fail;
  }
  $result = PyLong_FromLong($1);
}

/* Those that fill an error: its own text. */
%typemap(in, numinputs=0) struct zrx_error *error (struct zrx_error failure = ZRX_ERROR_INIT) {
  $1 = &failure;
}
%typemap(argout) struct zrx_error *error {
  if (result < 0) {
    Py_CLEAR($result);
    zpy_raise($1);
    SWIG_fail;
  }
}
%typemap(out) int zrx_nic_inspect, int zrx_nic_plan, int zrx_nic_apply, int zrx_nic_undo,
    int zrx_nic_restore, int zrx_nic_prove, int nic_demand {
  $result = PyLong_FromLong($1);
}

/* ---- the receiver: a zcrx.Receiver, open while the call runs ---- */

%typemap(in) const struct zrx_receiver * (PyObject *inside), struct zrx_receiver * (PyObject *inside) {
  $1 = zpy_enter($input);
  if (!$1)
    SWIG_fail;
  inside = $input;
}
%typemap(freearg) const struct zrx_receiver *, struct zrx_receiver * {
  if ($1)
    zpy_leave(inside$argnum);
}

/* ---- NIC set-up ---- */

%typemap(in, numinputs=0) uint32_t *queue (uint32_t queue = 0) {
  $1 = &queue;
}
%typemap(argout) uint32_t *queue {
  PyObject *pair = result < 0 ? NULL : Py_BuildValue("NI", $result, *$1);
  if (pair)
    $result = pair;
}

/* The count becomes the list of steps: pairs of setting and command. */
%typemap(in, numinputs=0) (struct zrx_nic_step *steps, uint32_t capacity)
    (struct zrx_nic_step steps[ZRX_NIC_STEPS]) {
  $1 = steps;
  $2 = ZRX_NIC_STEPS;
}
%typemap(argout) (struct zrx_nic_step *steps, uint32_t capacity) {
  if (result >= 0) {
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < result && i < ZRX_NIC_STEPS; i++) {
      PyObject *step = Py_BuildValue("ss", $1[i].setting, $1[i].command);
      if (!step || PyList_Append(list, step) < 0)
        Py_CLEAR(list);
      Py_XDECREF(step);
    }
    Py_DECREF($result);
    $result = list;
    if (!list)
      SWIG_fail;
  }
}

/* These wait: for drivers, for a stream. */
%define BLOCKS(function)
%exception function {
  Py_BEGIN_ALLOW_THREADS
  $action
  Py_END_ALLOW_THREADS
}
%enddef
BLOCKS(zrx_nic_inspect)
BLOCKS(nic_demand)
BLOCKS(zrx_nic_plan)
BLOCKS(zrx_nic_apply)
BLOCKS(zrx_nic_undo)
BLOCKS(zrx_nic_restore)
BLOCKS(zrx_nic_prove)
BLOCKS(zrx_probe)

/* ---- what is left to the hot types ---- */

%ignore zrx_buffer;
%ignore zrx_event;
%ignore zrx_stream_options;
%ignore zrx_nic_step;
%ignore zrx_engine_by_name;
%ignore zrx_receiver_open;
%ignore zrx_receiver_close;
%ignore zrx_receiver_add;
%ignore zrx_receiver_remove;
%ignore zrx_receiver_pause;
%ignore zrx_receiver_resume;
%ignore zrx_receiver_receive;
%ignore zrx_receiver_error;
%ignore zrx_buffer_release;
%ignore zrx_event_release;
%ignore zrx_group;
%ignore zrx_group_open;
%ignore zrx_group_close;
%ignore zrx_group_count;
%ignore zrx_group_receiver;
%ignore zrx_group_add;
%ignore zrx_group_listen;
%rename("%(regex:/^ZRX_.*_INIT$/$ignore/)s", %$isconstant) "";

/* ---- structs: made with their size set; arrays by index ---- */

%ignore zrx_options::interface;
%ignore zrx_options::area_memory;
%ignore zrx_options::area_free;
%ignore zrx_options::area_context;
%ignore zrx_options::reserved;
%ignore zrx_group_options::receiver;
%ignore zrx_group_options::reserved;
%ignore zrx_group_stats::receivers;
%ignore zrx_group_stats::sum;
%ignore zrx_capabilities::checks;
%ignore zrx_nic_report::checks;
%ignore zrx_nic_proof::checks;

%define SIZED(type)
%extend type {
  type() {
    struct type *self = calloc(1, sizeof(*self));
    if (self)
      self->size = sizeof(*self);
    return self;
  }
}
%enddef
SIZED(zrx_error)
SIZED(zrx_stats)
SIZED(zrx_stream_stats)
SIZED(zrx_info)
SIZED(zrx_nic_demand)
SIZED(zrx_options)
SIZED(zrx_group_options)

/* Those with checks: with room for all of this release, in the same block. */
%define CHECKED(type, room)
%extend type {
  type() {
    struct type *self = calloc(1, sizeof(*self) + (room) * sizeof(struct zrx_check));
    if (self) {
      self->size = sizeof(*self);
      self->check_capacity = (room);
      self->checks = (struct zrx_check *)(self + 1);
    }
    return self;
  }
  const struct zrx_check *check(unsigned int index) {
    return index < $self->check_count && index < $self->check_capacity ? &$self->checks[index] : NULL;
  }
}
%enddef
CHECKED(zrx_capabilities, ZRX_PROBE_CHECKS)
CHECKED(zrx_nic_report, ZRX_NIC_CHECKS)
CHECKED(zrx_nic_proof, ZRX_PROOF_CHECKS)

/* With room for the sum and for so many receivers, in the same block. */
%extend zrx_group_stats {
  zrx_group_stats(unsigned int receivers) {
    struct zrx_group_stats *self =
        calloc(1, sizeof(*self) + ((size_t)receivers + 1) * sizeof(struct zrx_stats));
    if (self) {
      self->size = sizeof(*self);
      self->sum = (struct zrx_stats *)(self + 1);
      self->sum->size = sizeof(struct zrx_stats);
      self->receivers = self->sum + 1;
      self->receiver_capacity = receivers;
      if (receivers)
        self->receivers->size = sizeof(struct zrx_stats);
    }
    return self;
  }
  const struct zrx_stats *total(void) {
    return $self->sum;
  }
  const struct zrx_stats *receiver(unsigned int index) {
    return index < $self->receiver_capacity ? &$self->receivers[index] : NULL;
  }
}

%extend zrx_options {
  ~zrx_options() {
    free((char *)$self->interface);
    free($self);
  }
  void set_interface(const char *name) {
    free((char *)$self->interface);
    $self->interface = name ? strdup(name) : NULL;
  }
}
%include "zcrx.h"

%rename(receiver_open) zpy_receiver_open;
PyObject *zpy_receiver_open(PyObject *receiver, struct zrx_options *options, PyObject *memory);
%rename(stream_stats) zpy_stream_stats;
PyObject *zpy_stream_stats(PyObject *receiver, PyObject *stream, struct zrx_stream_stats *stats);
%rename(group_open) zpy_group_open;
PyObject *zpy_group_open(PyObject *group, struct zrx_group_options *options, struct zrx_options *receiver,
                         PyObject *factory);
%rename(group_stats) zpy_group_stats;
PyObject *zpy_group_stats(PyObject *group, struct zrx_group_stats *stats);

%{
static int nic_demand(const struct zrx_options *options, struct zrx_nic_demand *demand,
                      struct zrx_error *error)
{
  return zrx_nic_demand(options, demand, error);
}
%}
int nic_demand(const struct zrx_options *options, struct zrx_nic_demand *demand,
               struct zrx_error *error);
