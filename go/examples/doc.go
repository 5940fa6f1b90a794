// SPDX-License-Identifier: MIT

// Package examples has programs that use package zcrx: recv, a file receiver; upload, an HTTP server; and digest, a server on a
// group of receivers. Their test runs them.
package examples
