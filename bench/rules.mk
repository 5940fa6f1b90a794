# SPDX-License-Identifier: MIT
# Measurements. A folder that has one adds its target to BENCHES.

BENCH_SOURCES := $(wildcard bench/*.c)
BENCH_OBJECTS := $(BENCH_SOURCES:%.c=$(B)/obj/%.o)
BENCH_SHARED  := $(filter-out %/receive.o %/idle.o,$(BENCH_OBJECTS))
BENCH_OPTIONS :=
BENCHES       += bench-core

.PHONY: bench bench-core test-bench
bench: ## run all measurements (BENCH_OPTIONS=--quick: only to see that they work)
	$(Q)for target in $(BENCHES); do $(MAKE) --no-print-directory $$target || exit 1; done

bench-core: $(B)/bench/receive $(B)/bench/idle ## measure the core against plain programs; build/bench/core.json
	$(Q)$(DEPS) core bench uml
	bench/core $(BENCH_OPTIONS)

test-bench: ## run the core's measurements in small, to see that they work
	$(Q)$(MAKE) --no-print-directory bench-core BENCH_OPTIONS=--quick

$(B)/bench/%: $(B)/obj/bench/%.o $(BENCH_SHARED) $(LIBZCRX)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS)

-include $(BENCH_OBJECTS:.o=.d)
