{{- define "zkprova.labels" -}}
app.kubernetes.io/name: zkprova
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "zkprova.data" -}}
{{- if .Values.claim -}}
persistentVolumeClaim: {claimName: {{ .Values.claim }}}
{{- else -}}
hostPath: {path: {{ .Values.hostPath }}, type: DirectoryOrCreate}
{{- end -}}
{{- end }}
