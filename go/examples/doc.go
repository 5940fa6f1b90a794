// SPDX-License-Identifier: MIT

// Package examples has programs that use package zcrx: recv, a file receiver, and upload, an HTTP server. Their test runs them.
package examples
