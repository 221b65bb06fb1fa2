package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.starlark.net/starlark"
	"sigs.k8s.io/yaml"
)

// What a Tiltfile asked for.
type tilt struct {
	images    map[string]bool
	manifests strings.Builder
	resources map[string][]string
}

// Evaluates the repository's Tiltfile with those of Tilt's functions that it uses; files that it names must be there.
func evaluate() (*tilt, error) {
	asked := &tilt{images: map[string]bool{}, resources: map[string][]string{}}
	functions := starlark.StringDict{}
	for name, function := range map[string]func(starlark.Tuple, []starlark.Tuple) (starlark.Value, error){
		"docker_build": asked.dockerBuild,
		"k8s_yaml":     asked.k8sYaml,
		"k8s_resource": asked.k8sResource,
		"read_file":    readFile,
		"listdir":      listdir,
		"encode_yaml":  encodeYaml,
	} {
		call := func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, named []starlark.Tuple) (starlark.Value, error) {
			return function(args, named)
		}
		functions[name] = starlark.NewBuiltin(name, call)
	}
	options := tiltDialect()
	_, err := starlark.ExecFileOptions(options, &starlark.Thread{}, filepath.Join(repository, "Tiltfile"), nil, functions)
	return asked, err
}

func (asked *tilt) dockerBuild(args starlark.Tuple, named []starlark.Tuple) (starlark.Value, error) {
	var image, context, dockerfile string
	var only, ignore *starlark.List
	err := starlark.UnpackArgs("docker_build", args, named,
		"ref", &image, "context", &context, "dockerfile", &dockerfile, "only?", &only, "ignore?", &ignore)
	if err != nil {
		return nil, err
	}
	asked.images[image] = true
	_, err = os.Stat(filepath.Join(repository, dockerfile))
	return starlark.None, err
}

func (asked *tilt) k8sYaml(args starlark.Tuple, named []starlark.Tuple) (starlark.Value, error) {
	var manifests starlark.Value
	if err := starlark.UnpackArgs("k8s_yaml", args, named, "yaml", &manifests); err != nil {
		return nil, err
	}
	all, ok := manifests.(*starlark.List)
	if !ok {
		all = starlark.NewList([]starlark.Value{manifests})
	}
	for value := range all.Elements() {
		text, ok := value.(blob)
		if !ok {
			path, _ := starlark.AsString(value)
			read, err := os.ReadFile(filepath.Join(repository, path))
			if err != nil {
				return nil, err
			}
			text = blob(read)
		}
		asked.manifests.WriteString("---\n" + string(text) + "\n")
	}
	return starlark.None, nil
}

func (asked *tilt) k8sResource(args starlark.Tuple, named []starlark.Tuple) (starlark.Value, error) {
	var name string
	var forwards, needs, labels *starlark.List
	err := starlark.UnpackArgs("k8s_resource", args, named,
		"workload", &name, "port_forwards?", &forwards, "resource_deps?", &needs, "labels?", &labels)
	if err != nil {
		return nil, err
	}
	asked.resources[name] = []string{}
	if needs != nil {
		for need := range needs.Elements() {
			text, _ := starlark.AsString(need)
			asked.resources[name] = append(asked.resources[name], text)
		}
	}
	return starlark.None, nil
}

// Text of a file or of a manifest, which Tilt tells from a path by its type.
type blob string

func (text blob) String() string        { return string(text) }
func (text blob) Type() string          { return "blob" }
func (text blob) Freeze()               {}
func (text blob) Truth() starlark.Bool  { return len(text) > 0 }
func (text blob) Hash() (uint32, error) { return starlark.String(text).Hash() }

func readFile(args starlark.Tuple, named []starlark.Tuple) (starlark.Value, error) {
	var path string
	if err := starlark.UnpackArgs("read_file", args, named, "file_path", &path); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(repository, path)
	}
	text, err := os.ReadFile(path)
	return blob(text), err
}

// Absolute paths, as Tilt gives them.
func listdir(args starlark.Tuple, named []starlark.Tuple) (starlark.Value, error) {
	var folder string
	if err := starlark.UnpackArgs("listdir", args, named, "directory", &folder); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(filepath.Join(repository, folder))
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(absolute)
	paths := []starlark.Value{}
	for _, entry := range entries {
		paths = append(paths, starlark.String(filepath.Join(absolute, entry.Name())))
	}
	return starlark.NewList(paths), err
}

func encodeYaml(args starlark.Tuple, named []starlark.Tuple) (starlark.Value, error) {
	var value starlark.Value
	if err := starlark.UnpackArgs("encode_yaml", args, named, "obj", &value); err != nil {
		return nil, err
	}
	plain, err := plainValue(value)
	if err != nil {
		return nil, err
	}
	text, err := yaml.Marshal(plain)
	return blob(text), err
}

func plainValue(value starlark.Value) (any, error) {
	switch value := value.(type) {
	case starlark.String:
		return string(value), nil
	case *starlark.Dict:
		plain := map[string]any{}
		for _, item := range value.Items() {
			key, _ := starlark.AsString(item[0])
			field, err := plainValue(item[1])
			if err != nil {
				return nil, err
			}
			plain[key] = field
		}
		return plain, nil
	}
	return nil, fmt.Errorf("encode_yaml of a %s is not needed so far", value.Type())
}
