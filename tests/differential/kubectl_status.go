// Answers what `kubectl rollout status` answers of an object, one JSON document per line in and out: the judge's
// own rules are held against kubectl's code, not against a copy of it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubectl/pkg/polymorphichelpers"
)

type answer struct {
	Message string `json:"message"`
	Done    bool   `json:"done"`
	Error   string `json:"error"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<24)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		line, err := json.Marshal(status(in.Bytes()))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Fprintln(out, string(line))
	}
	if err := in.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func status(line []byte) answer {
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(line, &object.Object); err != nil {
		return answer{Error: "not JSON: " + err.Error()}
	}
	kind := schema.GroupKind{Group: appsv1.GroupName, Kind: object.GetKind()}
	viewer, err := polymorphichelpers.StatusViewerFor(kind)
	if err != nil {
		return answer{Error: err.Error()}
	}
	message, done, err := viewer.Status(object, 0)
	if err != nil {
		return answer{Message: message, Error: err.Error()}
	}
	return answer{Message: message, Done: done}
}
