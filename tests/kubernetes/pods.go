package main

import (
	"fmt"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	meta1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The pods that an object makes, if it makes any.
func podsOf(object runtime.Object) *core.PodTemplateSpec {
	switch object := object.(type) {
	case *apps.Deployment:
		return &object.Spec.Template
	case *apps.StatefulSet:
		return &object.Spec.Template
	case *batch.CronJob:
		return &object.Spec.JobTemplate.Spec.Template
	}
	return nil
}

// Whether objects that speak of each other by label, port and volume fit together.
func fit(objects []runtime.Object) error {
	for _, object := range objects {
		name, _ := meta.NewAccessor().Name(object)
		if err := fits(object, objects); err != nil {
			return fmt.Errorf("%T %s: %w", object, name, err)
		}
	}
	return nil
}

func fits(object runtime.Object, all []runtime.Object) error {
	if pods := podsOf(object); pods != nil {
		if err := mountsFit(pods.Spec); err != nil {
			return err
		}
	}
	switch object := object.(type) {
	case *apps.Deployment:
		return selects(object.Spec.Selector, []runtime.Object{object}, nil)
	case *apps.StatefulSet:
		return selects(object.Spec.Selector, []runtime.Object{object}, nil)
	case *policy.PodDisruptionBudget:
		return selects(object.Spec.Selector, all, nil)
	case *core.Service:
		ports := []intstr.IntOrString{}
		for _, port := range object.Spec.Ports {
			ports = append(ports, port.TargetPort)
		}
		return selects(&meta1.LabelSelector{MatchLabels: object.Spec.Selector}, all, ports)
	case *networking.NetworkPolicy:
		ports := []intstr.IntOrString{}
		for _, rule := range object.Spec.Ingress {
			for _, port := range rule.Ports {
				ports = append(ports, *port.Port)
			}
			for _, peer := range rule.From {
				if err := selects(peer.PodSelector, all, nil); err != nil {
					return err
				}
			}
		}
		return selects(&object.Spec.PodSelector, all, ports)
	}
	return nil
}

// Some pods must have the labels, and all that have them the ports.
func selects(selector *meta1.LabelSelector, all []runtime.Object, ports []intstr.IntOrString) error {
	chosen, err := meta1.LabelSelectorAsSelector(selector)
	if err != nil {
		return err
	}
	found := false
	for _, object := range all {
		pods := podsOf(object)
		if pods == nil || !chosen.Matches(labels.Set(pods.Labels)) {
			continue
		}
		found = true
		for _, port := range ports {
			if !has(pods.Spec, port) {
				return fmt.Errorf("no container of its pods has the port %s", port.String())
			}
		}
	}
	if !found {
		return fmt.Errorf("no pods have the labels %s", chosen)
	}
	return nil
}

func has(pod core.PodSpec, port intstr.IntOrString) bool {
	for _, container := range pod.Containers {
		for _, own := range container.Ports {
			if own.Name == port.StrVal || own.ContainerPort == port.IntVal {
				return true
			}
		}
	}
	return false
}

func mountsFit(pod core.PodSpec) error {
	volumes := map[string]bool{}
	for _, volume := range pod.Volumes {
		volumes[volume.Name] = true
	}
	for _, container := range pod.Containers {
		for _, mount := range container.VolumeMounts {
			// Those of a StatefulSet's claims are not among the pod's.
			if !volumes[mount.Name] && mount.Name != "data" {
				return fmt.Errorf("there is no volume %s", mount.Name)
			}
		}
		for _, probe := range []*core.Probe{container.LivenessProbe, container.ReadinessProbe, container.StartupProbe} {
			if probe != nil && probe.HTTPGet != nil && !has(pod, probe.HTTPGet.Port) {
				return fmt.Errorf("a probe asks at the port %s, which there is not", probe.HTTPGet.Port.String())
			}
		}
	}
	return nil
}
