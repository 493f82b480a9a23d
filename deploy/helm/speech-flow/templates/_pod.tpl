{{/* What all pods share. */}}

{{- define "speech-flow.labels" -}}
app.kubernetes.io/name: speech-flow
app.kubernetes.io/part-of: speech-flow
app.kubernetes.io/version: {{ .Chart.AppVersion }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Which strategies have what. */}}
{{- define "speech-flow.has-lockfile" -}}
{{- if has .Values.strategy (list "2-single-writer" "4-node-cache" "5-hybrid") }}yes{{ end -}}
{{- end }}
{{- define "speech-flow.has-cache-server" -}}
{{- if has .Values.strategy (list "4-node-cache" "5-hybrid") }}yes{{ end -}}
{{- end }}
{{- define "speech-flow.has-leases" -}}
{{- if has .Values.strategy (list "2-persistent-cache" "4-node-cache" "5-hybrid") }}yes{{ end -}}
{{- end }}
{{- define "speech-flow.is-locked" -}}
{{- if or (eq .Values.strategy "2-persistent-cache") (include "speech-flow.has-lockfile" .) }}yes{{ end -}}
{{- end }}

{{- define "speech-flow.config" -}}
{{- $config := merge (dict) .Values.extraConfig .Values.config }}
{{- if eq .Values.strategy "2-persistent-cache" }}
{{- $_ := set $config "SPEECH_FLOW_LOCKFILE" "/models/speech-flow.lock" }}
{{- else if include "speech-flow.has-lockfile" . }}
{{- $_ := set $config "SPEECH_FLOW_LOCKFILE" "/etc/speech-flow/speech-flow.lock" }}
{{- end }}
{{- if include "speech-flow.has-leases" . }}
{{- $_ := set $config "SPEECH_FLOW_LEASE_DIR" "/leases" }}
{{- end }}
{{- if .Values.gpu.enabled }}
{{- $_ := set $config "WHISPER_DEVICE" "cuda" }}
{{- $_ := set $config "WHISPER_COMPUTE_TYPE" "float16" }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* A change of the settings or of the lockfile makes new pods. */}}
{{- define "speech-flow.checksums" -}}
checksum/config: {{ include "speech-flow.config" . | sha256sum }}
{{- if include "speech-flow.has-lockfile" . }}
checksum/lock: {{ .Values.lockfile | sha256sum }}
{{- end }}
{{- end }}

{{- define "speech-flow.image" -}}
{{ .Values.image.repository }}:{{ if eq .Values.strategy "3-prebuilt-image" }}{{ .Values.image.prebuiltTag }}{{ else }}{{ .Values.image.tag }}{{ end }}
{{- end }}

{{- define "speech-flow.pod" -}}
serviceAccountName: speech-flow
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "speech-flow.container" -}}
envFrom:
  - configMapRef:
      name: speech-flow-config
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "speech-flow.secret" -}}
- name: {{ .key }}
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.secretName }}
      key: {{ .key }}
      optional: true
{{- end }}

{{/* Where a pod that fetches fetches from. */}}
{{- define "speech-flow.source" -}}
{{- if include "speech-flow.has-cache-server" . }}
- name: HF_ENDPOINT
  value: http://speech-flow-cache:8090
{{- end }}
{{- if eq .Values.strategy "5-hybrid" }}
- name: SPEECH_FLOW_FALLBACK_ENDPOINT
  value: {{ .Values.fallbackEndpoint }}
- name: MODEL_DOWNLOAD_MAX_RETRIES
  value: "1"
{{- end }}
{{ include "speech-flow.secret" (dict "root" . "key" "HF_TOKEN") }}
{{- end }}

{{/* The mounts of a pod that fetches. */}}
{{- define "speech-flow.writer-mounts" -}}
- name: models
  mountPath: /models
{{- if include "speech-flow.has-leases" . }}
- name: models
  mountPath: /leases
  subPath: leases
{{- end }}
{{- if include "speech-flow.has-lockfile" . }}
- name: lockfile
  mountPath: /etc/speech-flow
  readOnly: true
{{- end }}
{{- end }}

{{- define "speech-flow.writer-resources" -}}
requests:
  cpu: 500m
  memory: 128Mi
limits:
  memory: 256Mi
{{- end }}

{{- define "speech-flow.lockfile-volume" -}}
{{- if include "speech-flow.has-lockfile" . }}
- name: lockfile
  configMap:
    name: speech-flow-lock
{{- end }}
{{- end }}

{{/* The probes of a service: a dict with `startup`, `startupSeconds`, `startupFailures`, `timeout`, `readiness`,
     `readinessFailures`. */}}
{{- define "speech-flow.probes" -}}
startupProbe:
  httpGet: { path: {{ .startup }}, port: http }
  periodSeconds: 2
  timeoutSeconds: {{ .timeout }}
  failureThreshold: {{ .startupFailures }}
readinessProbe:
  httpGet: { path: /readyz, port: http }
  periodSeconds: {{ .readinessPeriod }}
  timeoutSeconds: {{ .timeout }}
  failureThreshold: {{ .readinessFailures }}
livenessProbe:
  httpGet: { path: /livez, port: http }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}

{{/* A container that fetches into the volume, but for its name and arguments. */}}
{{- define "speech-flow.writer" -}}
image: {{ include "speech-flow.image" . }}
{{ include "speech-flow.container" . }}
env:
  {{- include "speech-flow.source" . | trim | nindent 2 }}
resources:
  {{- include "speech-flow.writer-resources" . | nindent 2 }}
volumeMounts:
  {{- include "speech-flow.writer-mounts" . | nindent 2 }}
{{- end }}
