{{- define "portcullis.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "portcullis.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "portcullis.labels" -}}
{{ include "portcullis.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "portcullis.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* A value of the configuration in TOML. Whole numbers stay whole: Helm reads all numbers as floats. */ -}}
{{- define "portcullis.toml" -}}
{{- if kindIs "map" . -}}
{ {{- $first := true }}{{ range $key, $value := . }}{{ if not $first }}, {{ end }}{{ $first = false }}{{ toJson $key }} = {{ include "portcullis.toml" $value }}{{ end -}} }
{{- else if kindIs "slice" . -}}
[{{- range $index, $value := . }}{{ if $index }}, {{ end }}{{ include "portcullis.toml" $value }}{{ end -}}]
{{- else if kindIs "float64" . -}}
{{ if eq . (floor .) }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end }}
{{- else -}}
{{ toJson . }}
{{- end -}}
{{- end }}

{{- /* The whole of portcullis.toml. What the chart sets itself cannot be set otherwise. */ -}}
{{- define "portcullis.config" -}}
{{- $accepted := list }}
{{- range .Values.secrets.accepted }}{{ $accepted = append $accepted (dict "file" (printf "/run/secrets/portcullis/%s" .)) }}{{ end }}
{{- $listen := dict "flight" "0.0.0.0:32010" "http" "0.0.0.0:32011" }}
{{- if .Values.secrets.tls }}{{ $_ := merge $listen (dict "tls_certificate" "/run/secrets/portcullis-tls/tls.crt" "tls_key" "/run/secrets/portcullis-tls/tls.key") }}{{ end }}
{{- $identity := dict "users" "/srv/mesh/users.yaml" }}
{{- if .Values.page.host }}{{ $_ := set $identity "page" (dict "url" (printf "https://%s" .Values.page.host)) }}{{ end }}
{{- $ours := dict
      "listen" $listen
      "identity" $identity
      "limits" (dict "drain" (printf "%ds" (int .Values.drainSeconds)) "spill" (printf "%d GiB" (int .Values.spill.gibibytes)) "spill_dir" "/var/spill/portcullis")
      "audit" (dict "dir" "/var/lib/portcullis/audit")
      "secrets" (dict "signing_key" (dict "file" "/run/secrets/portcullis/signing.key") "mask_key" (dict "file" "/run/secrets/portcullis/mask.key") "accepted_keys" $accepted "keys_dir" "/var/lib/portcullis/keys")
      "catalogue" (dict "catalogs" "/srv/mesh/catalogs" "policies" "/srv/mesh/policies") }}
{{- range $table, $keys := mergeOverwrite (deepCopy .Values.config) $ours }}
[{{ $table }}]
{{- range $key, $value := $keys }}
{{ $key }} = {{ include "portcullis.toml" $value }}
{{- end }}
{{ end }}
{{- end }}
