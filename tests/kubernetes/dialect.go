package main

import "go.starlark.net/syntax"

// What Tilt allows beyond plain Starlark, as far as it is used.
func tiltDialect() *syntax.FileOptions {
	return &syntax.FileOptions{TopLevelControl: true, GlobalReassign: true}
}
