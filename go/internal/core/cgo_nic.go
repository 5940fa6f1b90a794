// SPDX-License-Identifier: MIT

//go:build linux && cgo

package core

// #include <zcrx.h>
import "C"

// InspectNIC looks at an interface and one of its queues; on failure the error's code is not 0.
func InspectNIC(name string, queue uint32) (NICReport, Error) {
	text, free := cName(name)
	defer free()
	failure := C.struct_zrx_error{size: C.sizeof_struct_zrx_error}
	r := C.struct_zrx_nic_report{size: C.sizeof_struct_zrx_nic_report}
	checks, freeChecks := newChecks(NICChecks)
	defer freeChecks()
	r.checks, r.check_capacity = checks, NICChecks
	if C.zrx_nic_inspect(text, C.uint32_t(queue), &r, &failure) != 0 {
		return NICReport{}, goError(&failure)
	}
	return goNICReport(&r, goChecks(checks, min(r.check_count, NICChecks))), Error{}
}

// DemandNIC tells what a queue takes of an area; on failure the error's code is not 0.
func DemandNIC(o *Options) (NICDemand, Error) {
	options, free := cOptions(o)
	defer free()
	failure := C.struct_zrx_error{size: C.sizeof_struct_zrx_error}
	demand := C.struct_zrx_nic_demand{size: C.sizeof_struct_zrx_nic_demand}
	if C.zrx_nic_demand(options, &demand, &failure) != 0 {
		return NICDemand{}, goError(&failure)
	}
	return goNICDemand(&demand), Error{}
}

// PlanNIC tells what a set-up would change, and which queue it would take.
func PlanNIC(o *Options) (steps []NICStep, queue uint32, err Error) {
	options, free := cOptions(o)
	defer free()
	failure := C.struct_zrx_error{size: C.sizeof_struct_zrx_error}
	var list [NICSteps]C.struct_zrx_nic_step
	var taken C.uint32_t
	count := C.zrx_nic_plan(options, &list[0], NICSteps, &taken, &failure)
	if count < 0 {
		return nil, 0, goError(&failure)
	}
	for i := range list[:min(count, NICSteps)] {
		steps = append(steps, goNICStep(&list[i]))
	}
	return steps, uint32(taken), Error{}
}

// ApplyNIC sets a queue up.
func ApplyNIC(o *Options) (queue uint32, err Error) {
	options, free := cOptions(o)
	defer free()
	failure := C.struct_zrx_error{size: C.sizeof_struct_zrx_error}
	var taken C.uint32_t
	if C.zrx_nic_apply(options, &taken, &failure) != 0 {
		return 0, goError(&failure)
	}
	return uint32(taken), Error{}
}

// UndoNIC undoes ApplyNIC; it returns how many set-ups were undone.
func UndoNIC(name string, queue uint32) (int, Error) {
	text, free := cName(name)
	defer free()
	failure := C.struct_zrx_error{size: C.sizeof_struct_zrx_error}
	return undone(C.zrx_nic_undo(text, C.uint32_t(queue), &failure), &failure)
}

// RestoreNIC undoes what processes that died have left; an empty name means all interfaces.
func RestoreNIC(name string) (int, Error) {
	text, free := cName(name)
	defer free()
	failure := C.struct_zrx_error{size: C.sizeof_struct_zrx_error}
	return undone(C.zrx_nic_restore(text, &failure), &failure)
}

func undone(count C.int, failure *C.struct_zrx_error) (int, Error) {
	if count < 0 {
		return 0, goError(failure)
	}
	return int(count), Error{}
}
