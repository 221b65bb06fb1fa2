{{- define "relay-miner.name" -}}
{{- if contains .Chart.Name .Release.Name -}}{{ .Release.Name }}{{- else -}}{{ .Release.Name }}-{{ .Chart.Name }}{{- end -}}
{{- end }}

{{/* Labels by which pods are found. Takes a list: the root, and the component. */}}
{{- define "relay-miner.selector" -}}
app.kubernetes.io/name: relay-miner
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "relay-miner.labels" -}}
{{ include "relay-miner.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
{{- end }}

{{- define "relay-miner.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "relay-miner.redisUrl" -}}
{{- if .Values.redis.enabled -}}
redis://{{ include "relay-miner.name" . }}-redis:6379
{{- else -}}
{{ required "redis.url is needed where redis.enabled is false" .Values.redis.url }}
{{- end -}}
{{- end }}

{{/* What pods of relayers and miners have in common. Takes a list: the root, the component, its values. */}}
{{- define "relay-miner.podDefaults" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
serviceAccountName: {{ include "relay-miner.name" $root }}
automountServiceAccountToken: false
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "relay-miner.selector" . | nindent 8 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* What their containers have in common. Takes the same list. */}}
{{- define "relay-miner.containerDefaults" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
image: {{ include "relay-miner.image" $root | quote }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
env:
  - { name: REDIS_URL, value: {{ include "relay-miner.redisUrl" $root | quote }} }
  {{- with $values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources: {{- toYaml $values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}
