/* SPDX-License-Identifier: MIT */
/* From struct zrx_error to zcrx.Error. zcrx/_errors.py chooses the class. */
#include <stdio.h>

#include "zpy.h"

void zpy_raise(const struct zrx_error *error)
{
	PyObject *exception = NULL;
	PyObject *errors = PyImport_ImportModule("zcrx._errors");

	if (errors)
		exception = PyObject_CallMethod(errors, "from_core", "issss", -error->code,
						zrx_stage_name(error->stage), error->message,
						error->kernel_text, error->hint);
	if (exception)
		PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
	Py_XDECREF(exception);
	Py_XDECREF(errors);
}

void zpy_raise_new(int code, uint32_t stage, const char *message, const char *hint)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	error.code = code;
	error.stage = stage;
	snprintf(error.message, sizeof(error.message), "%s", message);
	snprintf(error.hint, sizeof(error.hint), "%s", hint);
	zpy_raise(&error);
}
