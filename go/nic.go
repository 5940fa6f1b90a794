// SPDX-License-Identifier: MIT

package zcrx

import "github.com/zcrx/zcrx/go/internal/core"

// NICPlan is what setting an interface up would change.
type NICPlan struct {
	Queue uint32 // which receive queue would be taken
	Steps []NICStep
}

// InspectNIC looks at an interface and at one of its receive queues; nil is one that is free. It changes nothing and
// needs no rights. A setting that is missing is no error but a [Check].
func InspectNIC(name string, queue *uint32) (*NICReport, error) {
	r, failure := core.InspectNIC(name, queueNumber(queue))
	if failure.Code != 0 {
		return nil, newOpError(opInspect, failure)
	}
	report := newNICReport(r)
	return &report, nil
}

// DemandNIC tells what a receive queue takes of an area by itself, and how large an area [Open] makes there unless Options.AreaBytes
// says otherwise. Interface, Queue and BufferBytes of the options count. It changes nothing and needs no rights.
func DemandNIC(options Options) (*NICDemand, error) {
	c := options.core()
	d, failure := core.DemandNIC(&c)
	if failure.Code != 0 {
		return nil, newOpError(opDemand, failure)
	}
	demand := newNICDemand(d)
	return &demand, nil
}

// PlanNIC tells what [Open] or [ApplyNIC] would change with these options, of which Interface, Queue, Steer and
// SteerPort count. It changes nothing and needs no rights.
func PlanNIC(options Options) (*NICPlan, error) {
	c := options.core()
	steps, queue, failure := core.PlanNIC(&c)
	if failure.Code != 0 {
		return nil, newOpError(opPlan, failure)
	}
	plan := &NICPlan{Queue: queue}
	for _, step := range steps {
		plan.Steps = append(plan.Steps, newNICStep(step))
	}
	return plan, nil
}

// ApplyNIC sets a receive queue up for receivers that come later, in this or any process, with fewer rights: they name the
// queue that it returns and NICPrepared. It stays set up until [UndoNIC]. A program that opens the receiver itself does
// not need it: [Open] sets up, and Close puts back.
func ApplyNIC(options Options) (queue uint32, err error) {
	c := options.core()
	queue, failure := core.ApplyNIC(&c)
	if failure.Code != 0 {
		return 0, newOpError(opApply, failure)
	}
	return queue, nil
}

// UndoNIC undoes ApplyNIC for a queue of an interface; nil for all of them. It returns how many set-ups were undone; it fails
// with EBUSY while a receiver is bound to the queue. Settings that another set-up still needs go back with the last of
// them, and what somebody else has changed since stays as it is.
func UndoNIC(name string, queue *uint32) (undone int, err error) {
	undone, failure := core.UndoNIC(name, queueNumber(queue))
	if failure.Code != 0 {
		return 0, newOpError(opUndo, failure)
	}
	return undone, nil
}

// RestoreNIC undoes what processes that died have left on an interface, on all if the name is empty. It returns how many
// set-ups were undone. The next [Open] on the interface does the same.
func RestoreNIC(name string) (undone int, err error) {
	undone, failure := core.RestoreNIC(name)
	if failure.Code != 0 {
		return 0, newOpError(opRestore, failure)
	}
	return undone, nil
}

func queueNumber(queue *uint32) uint32 {
	if queue == nil {
		return core.NICFreeQueue
	}
	return *queue
}

func queuePointer(number uint32) *uint32 {
	if number == core.NICFreeQueue {
		return nil
	}
	return &number
}
