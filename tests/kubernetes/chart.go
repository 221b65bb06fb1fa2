package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

const (
	repository = "../.."
	chart      = repository + "/deploy/helm/relay-miner"
	monitoring = "monitoring.yaml"
	header     = "# Written by `make manifests` from the chart in deploy/helm/relay-miner: change it there.\n"
)

// The values that put in all that a cluster has to have an operator for.
var monitored = chartutil.Values{"monitoring": map[string]any{
	"serviceMonitor": map[string]any{"enabled": true},
	"rules":          map[string]any{"enabled": true},
	"dashboards":     map[string]any{"enabled": true},
}}

// What is committed under deploy/kubernetes.
var plainManifests = map[string]func() (string, error){
	"deploy/kubernetes/relay-miner.yaml": func() (string, error) {
		return render(chartutil.Values{}, func(string) bool { return true })
	},
	"deploy/kubernetes/" + monitoring: func() (string, error) {
		return render(monitored, func(file string) bool { return file == monitoring })
	},
}

// Lints and renders the chart with Helm's own code, as `helm lint --strict` and `helm template` do, and gives those of
// its files that are wanted.
func render(values chartutil.Values, wanted func(file string) bool) (string, error) {
	for _, message := range lint.All(chart, values, "default", true).Messages {
		// An icon is all that it misses.
		if message.Severity > support.InfoSev {
			return "", message
		}
	}
	loaded, err := loader.Load(chart)
	if err != nil {
		return "", err
	}
	options := chartutil.ReleaseOptions{Name: "relay-miner", Namespace: "default", Revision: 1, IsInstall: true}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.33.0", Major: "1", Minor: "33"}
	all, err := chartutil.ToRenderValues(loaded, values, options, capabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(loaded, all)
	if err != nil {
		return "", err
	}
	names := []string{}
	for name, text := range files {
		if path.Ext(name) == ".yaml" && wanted(path.Base(name)) && strings.TrimSpace(text) != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	manifests := strings.Builder{}
	manifests.WriteString(header)
	for _, name := range names {
		text := strings.TrimPrefix(strings.TrimSpace(files[name]), "---\n")
		fmt.Fprintf(&manifests, "---\n%s\n", text)
	}
	return manifests.String(), nil
}
