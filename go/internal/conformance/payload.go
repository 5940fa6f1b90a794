// SPDX-License-Identifier: MIT

//go:build linux

package main

import "bytes"

const tableBytes = 65521

// table is the payload's, often enough in a row that any buffer up to a MiB is one comparison.
var table = makeTable(1<<20 + tableBytes)

func makeTable(size int) []byte {
	t := make([]byte, 0, size+tableBytes)
	state := uint32(0x9E3779B9)
	for range tableBytes {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		t = append(t, byte(state>>24))
	}
	for len(t) < size {
		t = append(t, t[:tableBytes]...)
	}
	return t
}

// payloadCheck returns how many of the bytes at the beginning are those of the stream at the offset.
func payloadCheck(data []byte, seed, stream, offset uint64) int {
	for checked := 0; checked < len(data); {
		at := (offset + uint64(checked) + 7919*stream + 104729*seed) % tableBytes
		part := data[checked:min(len(data), checked+1<<20)]
		want := table[at : at+uint64(len(part))]
		if !bytes.Equal(part, want) {
			for i := range part {
				if part[i] != want[i] {
					return checked + i
				}
			}
		}
		checked += len(part)
	}
	return len(data)
}
