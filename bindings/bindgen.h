/* SPDX-License-Identifier: MIT */
/* What bindgen reads to make rust/zcrx-sys/src/bindings.rs: make rust-bindings */
#include "zcrx.h"

/* bindgen does not evaluate macros made of UINT64_MAX; an enumerator it does. */
enum ZRX { UNKNOWN = ZRX_UNKNOWN };
