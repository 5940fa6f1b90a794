// SPDX-License-Identifier: MIT

//go:build linux && cgo

package core

// #include <signal.h>
// #include <zcrx.h>
//
// // A signal ends the sample, and Go's runtime sends its threads signals of its own.
// static int prove(const struct zrx_options *options, int fd, uint64_t limit, int64_t timeout,
//                  struct zrx_nic_proof *proof, struct zrx_error *error)
// {
// 	sigset_t all, before;
// 	int result;
//
// 	sigfillset(&all);
// 	pthread_sigmask(SIG_SETMASK, &all, &before);
// 	result = zrx_nic_prove(options, fd, limit, timeout, proof, error);
// 	pthread_sigmask(SIG_SETMASK, &before, NULL);
// 	return result;
// }
import "C"

// ProveNIC receives a stream and tells what of it was copied; on failure the error's code is not 0.
func ProveNIC(o *Options, fd uintptr, limit uint64, timeoutNS int64) (NICProof, Error) {
	options, free := cOptions(o)
	defer free()
	failure := C.struct_zrx_error{size: C.sizeof_struct_zrx_error}
	p := C.struct_zrx_nic_proof{size: C.sizeof_struct_zrx_nic_proof}
	checks, freeChecks := newChecks(ProofChecks)
	defer freeChecks()
	p.checks, p.check_capacity = checks, ProofChecks
	if C.prove(options, C.int(fd), C.uint64_t(limit), C.int64_t(timeoutNS), &p, &failure) != 0 {
		return NICProof{}, goError(&failure)
	}
	return goNICProof(&p, goChecks(checks, min(p.check_count, ProofChecks))), Error{}
}
