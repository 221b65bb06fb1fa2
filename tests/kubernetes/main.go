// Writes the plain manifests anew, which are what the chart makes of its own values:
//
//	go run .
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	for file, contents := range plainManifests {
		text, err := contents()
		if err == nil {
			err = os.WriteFile(filepath.Join(repository, file), []byte(text), 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(file)
	}
}
