// helm_objects reads manifests as helm does, by cli-runtime's own builder, without a cluster.
//
// A line on standard input is {"text": ...}; the answer is {"objects": [...], "error": ...}. With the argument
// "groups" it lists the API groups whose types client-go knows.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/kubernetes/scheme"
)

type question struct {
	Text string `json:"text"`
}

type answer struct {
	Objects []map[string]any `json:"objects"`
	Error   string           `json:"error"`
}

// read is the Build of helm's pkg/kube/client.go, which only asks the API server about each kind beside it.
func read(text string) answer {
	infos, err := resource.NewLocalBuilder().ContinueOnError().NamespaceParam("n").DefaultNamespace().Flatten().
		Unstructured().Stream(strings.NewReader(text), "").Do().Infos()
	if err != nil {
		return answer{Error: err.Error()}
	}
	found := answer{Objects: []map[string]any{}}
	for _, info := range infos {
		found.Objects = append(found.Objects, info.Object.(*unstructured.Unstructured).Object)
	}
	return found
}

func groups() {
	known := map[string]bool{}
	for each := range scheme.Scheme.AllKnownTypes() {
		known[each.Group] = true
	}
	names := []string{}
	for name := range known {
		names = append(names, name)
	}
	sort.Strings(names)
	_ = json.NewEncoder(os.Stdout).Encode(names)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "groups" {
		groups()
		return
	}
	lines := bufio.NewReader(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	decoder, encoder := json.NewDecoder(lines), json.NewEncoder(out)
	for {
		var asked question
		if decoder.Decode(&asked) != nil {
			return
		}
		if err := encoder.Encode(read(asked.Text)); err != nil {
			_ = encoder.Encode(answer{Error: "json: " + err.Error()})
		}
	}
}
