// SPDX-License-Identifier: MIT

//go:build !linux || !cgo

package core

import "syscall"

// What a program finds where the C library cannot be: it compiles, and opening is refused.

const enosys = int(syscall.ENOSYS)

var refusal = Error{
	Code:    int32(-enosys),
	Stage:   StageOptions,
	Message: refusalMessage,
	Hint:    refusalHint,
}

func NewEvents(count int) []Event                                 { return make([]Event, count) }
func FreeEvents([]Event)                                          {}
func Open(*Options) (Receiver, Error)                             { return Receiver{}, refusal }
func (Receiver) Close() int                                       { return 0 }
func (Receiver) Add(uintptr, *StreamOptions) (uint64, int)        { return 0, -enosys }
func (Receiver) Remove(uint64) int                                { return -enosys }
func (Receiver) Pause(uint64) int                                 { return -enosys }
func (Receiver) Resume(uint64) int                                { return -enosys }
func (Receiver) StreamStats(uint64) (StreamStats, int)            { return StreamStats{}, -enosys }
func (Receiver) Receive([]Event, int64) int                       { return -enosys }
func (Receiver) Wake()                                            {}
func (Receiver) LastError() Error                                 { return refusal }
func (Receiver) Stats() Stats                                     { return Stats{} }
func (Receiver) Info() Info                                       { return Info{} }
func OpenGroup(*GroupOptions) (Group, Error)                      { return Group{}, refusal }
func (Group) Close() int                                          { return 0 }
func (Group) Receivers() []Receiver                               { return nil }
func (Group) Add(uintptr, *StreamOptions) Error                   { return refusal }
func (Group) Listen(uintptr, *StreamOptions) Error                { return refusal }
func (Group) Stats(int) GroupStats                                { return GroupStats{} }
func ReleaseEvents([]Event) int                                   { return -enosys }
func ReleaseBuffers([]Buffer) int                                 { return -enosys }
func Probe() (Capabilities, int)                                  { return Capabilities{}, -enosys }
func Version() string                                             { return "none" }
func EngineName(uint32) string                                    { return "" }
func StageName(uint32) string                                     { return "" }
func EngineByName(string) (uint32, int)                           { return 0, -enosys }
func InspectNIC(string, uint32) (NICReport, Error)                { return NICReport{}, refusal }
func DemandNIC(*Options) (NICDemand, Error)                       { return NICDemand{}, refusal }
func PlanNIC(*Options) ([]NICStep, uint32, Error)                 { return nil, 0, refusal }
func ApplyNIC(*Options) (uint32, Error)                           { return 0, refusal }
func UndoNIC(string, uint32) (int, Error)                         { return 0, refusal }
func RestoreNIC(string) (int, Error)                              { return 0, refusal }
func ProveNIC(*Options, uintptr, uint64, int64) (NICProof, Error) { return NICProof{}, refusal }
