# SPDX-License-Identifier: MIT
FUZZ_CC      := clang
FUZZ_OUT     := $(B)/fuzz
FUZZ_FLAGS   := -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_SOURCES := $(filter-out tests/sim/main.c,$(wildcard tests/sim/*.c)) $(SIM_CORE) tests/fuzz/fuzz.c
FUZZ_OBJECTS := $(FUZZ_SOURCES:%.c=$(FUZZ_OUT)/%.o)
SECONDS      := 60
FUZZ_RUN      = $(FUZZ_OUT)/fuzz -timeout=20 -max_len=4096 -artifact_prefix=$(FUZZ_OUT)/ -print_final_stats=1

.PHONY: fuzz fuzz-corpus
$(FUZZ_OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(STANDARD) $(INCLUDES) $(FUZZ_FLAGS) $(WARNINGS) -Itests/sim -MMD -MP -c $< -o $@

$(FUZZ_OUT)/core/%.o: INCLUDES += -include tests/sim/atomics.h

$(FUZZ_OUT)/fuzz: $(FUZZ_OBJECTS)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -o $@ $^ -lpthread

fuzz: $(FUZZ_OUT)/fuzz ## let a fuzzer choose what the simulated kernel does: SECONDS=60
	@mkdir -p $(FUZZ_OUT)/corpus
	$(FUZZ_RUN) -max_total_time=$(SECONDS) $(FUZZ_OUT)/corpus tests/fuzz/corpus

fuzz-corpus: $(FUZZ_OUT)/fuzz ## keep in tests/fuzz/corpus what a long `make fuzz` found new
	$(FUZZ_RUN) -merge=1 -use_counters=0 tests/fuzz/corpus $(FUZZ_OUT)/corpus

-include $(FUZZ_OBJECTS:.o=.d)
