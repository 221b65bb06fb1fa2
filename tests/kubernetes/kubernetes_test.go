package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	"k8s.io/apimachinery/pkg/api/meta"
)

func everything(string) bool { return true }

func TestPlainManifestsAreTheCharts(t *testing.T) {
	for file, contents := range plainManifests {
		want, err := contents()
		if err != nil {
			t.Fatal(err)
		}
		found, err := os.ReadFile(filepath.Join(repository, file))
		if err != nil {
			t.Fatal(err)
		}
		if string(found) != want {
			t.Errorf("%s is not what the chart makes: run make manifests", file)
		}
	}
}

func TestChartMakesWhatKubernetesTakes(t *testing.T) {
	for name, values := range map[string]chartutil.Values{
		"its own values": {},
		"monitoring":     monitored,
		"another Redis":  {"redis": map[string]any{"enabled": false, "url": "rediss://redis.example:6379"}},
		"no autoscaling": {"relayer": map[string]any{"autoscaling": map[string]any{"enabled": false}, "replicas": 3}},
		"scheduling": {"miner": map[string]any{
			"nodeSelector": map[string]any{"disk": "ssd"},
			"tolerations":  []any{map[string]any{"key": "miner", "operator": "Exists"}},
			"env":          []any{map[string]any{"name": "A", "value": "b"}},
		}, "imagePullSecrets": []any{map[string]any{"name": "pull"}}, "redis": map[string]any{"storageClass": "fast"}},
		"nothing but relayers and miners": {"networkPolicy": map[string]any{"enabled": false},
			"redis": map[string]any{"enabled": false, "url": "redis://elsewhere:6379"}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := render(values, everything)
			if err != nil {
				t.Fatal(err)
			}
			objects, err := decode([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := fit(objects); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestChartWantsARedis(t *testing.T) {
	_, err := render(chartutil.Values{"redis": map[string]any{"enabled": false}}, everything)
	if err == nil || !strings.Contains(err.Error(), "redis.url is needed") {
		t.Errorf("without any Redis: %v", err)
	}
}

func TestWrongManifestsAreRefused(t *testing.T) {
	right, err := render(chartutil.Values{}, everything)
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		"readinessProbe:":       "readynessProbe:",
		"replicas: 2":           "replicas: two",
		"containerPort: 9092":   "containerPort: 9093, hostPort: x",
		"kind: NetworkPolicy":   "kind: NetworkPolitics",
		"minAvailable: 1":       "minAvailable: 1\n  minAvailable: 2",
		"  labels:\n    app.ku": "  label:\n    app.ku",
	} {
		if !strings.Contains(right, from) {
			t.Errorf("the chart has no %q any more", from)
		}
		if _, err := decode([]byte(strings.Replace(right, from, to, 1))); err == nil {
			t.Errorf("%q is taken", to)
		}
	}
	for from, to := range map[string]string{
		"targetPort: relays": "targetPort: relay",
		"name: relay-log, m": "name: relay-logs, m",
		"port: health }":     "port: healthy }",
	} {
		objects, err := decode([]byte(strings.Replace(right, from, to, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if fit(objects) == nil {
			t.Errorf("%q is taken", to)
		}
	}
}

func TestTiltfileNamesWhatThereIs(t *testing.T) {
	asked, err := evaluate()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := decode([]byte(asked.manifests.String()))
	if err != nil {
		t.Fatal(err)
	}
	if err := fit(objects); err != nil {
		t.Error(err)
	}
	workloads, used := map[string]bool{}, map[string]bool{}
	for _, object := range objects {
		pods := podsOf(object)
		if pods == nil {
			continue
		}
		name, _ := meta.NewAccessor().Name(object)
		workloads[name] = true
		for _, container := range pods.Spec.Containers {
			image, _, _ := strings.Cut(container.Image, ":")
			used[image] = true
		}
	}
	for image := range asked.images {
		if !used[image] {
			t.Errorf("nothing runs the image %s", image)
		}
	}
	for name, needs := range asked.resources {
		for _, workload := range append(needs, name) {
			if !workloads[workload] {
				t.Errorf("there is no workload %s", workload)
			}
		}
	}
	for workload := range workloads {
		if _, named := asked.resources[workload]; !named {
			t.Errorf("the Tiltfile says nothing of %s", workload)
		}
	}
}
