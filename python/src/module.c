/* SPDX-License-Identifier: MIT */
/* The types of the module, and what a fork means to them. */
#include <pthread.h>

#include "zpy.h"

struct zpy_module zpy;

static void after_fork_child(void)
{
	atomic_fetch_add_explicit(&zpy.forks, 1, memory_order_relaxed);
}

static int refuse_subinterpreter(void)
{
	int64_t id = PyInterpreterState_GetID(PyInterpreterState_Get());

	if (id == 0)
		return 0;
	if (id > 0)
		PyErr_SetString(PyExc_ImportError,
				"zcrx does not run in a subinterpreter: import it in the main one");
	return -1;
}

static PyTypeObject *new_type(PyObject *module, PyType_Spec *spec)
{
	PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);

	if (!type || PyModule_AddType(module, type) < 0)
		return NULL;
	return type;
}

static int new_kinds(void)
{
	static const char *const names[] = {
		[ZRX_EVENT_DATA] = "data",
		[ZRX_EVENT_END] = "end",
		[ZRX_EVENT_ERROR] = "error",
		[ZRX_EVENT_ADDED] = "added",
	};

	for (uint32_t kind = ZRX_EVENT_DATA; kind <= ZRX_EVENT_ADDED; kind++)
		if (!(zpy.kinds[kind] = PyUnicode_InternFromString(names[kind])))
			return -1;
	return 0;
}

int zpy_module_exec(PyObject *module)
{
	if (refuse_subinterpreter() < 0)
		return -1;
	if (zpy.buffer) {
		PyErr_SetString(PyExc_ImportError, "zcrx._zcrx cannot be loaded a second time");
		return -1;
	}
	if (pthread_atfork(NULL, NULL, after_fork_child)) {
		PyErr_NoMemory();
		return -1;
	}
	if (new_kinds() < 0 || !(zpy.buffer = new_type(module, &zpy_buffer_spec)) ||
	    !(zpy.event = new_type(module, &zpy_event_spec)) ||
	    !(zpy.batch = new_type(module, &zpy_batch_spec)) ||
	    !(zpy.column = new_type(module, &zpy_column_spec)) ||
	    !(zpy.stream = new_type(module, &zpy_stream_spec)) ||
	    !(zpy.receiver = new_type(module, &zpy_receiver_spec)) ||
	    !(zpy.group = new_type(module, &zpy_group_spec)))
		return -1;
	return 0;
}
