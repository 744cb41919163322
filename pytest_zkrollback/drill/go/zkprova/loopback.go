package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	apiTimeout    = 2 * time.Second
	backendLabel  = "zkprova-backend"
	frontendLabel = "zkprova-frontend"
	onNode        = "srv/zkprova/zkprova.db" // as the chart's hostPath volume says
)

// pod is what is read of a pod.
type pod struct {
	Metadata struct {
		Name              string            `json:"name"`
		UID               string            `json:"uid"`
		Labels            map[string]string `json:"labels"`
		DeletionTimestamp *string           `json:"deletionTimestamp"`
	} `json:"metadata"`
	Spec struct {
		Containers []struct {
			Name  string `json:"name"`
			Image string `json:"image"`
			Env   []struct {
				Name  string `json:"name"`
				Value string `json:"value"`
			} `json:"env"`
			VolumeMounts []struct {
				Name      string `json:"name"`
				MountPath string `json:"mountPath"`
			} `json:"volumeMounts"`
		} `json:"containers"`
		Volumes []struct {
			Name     string `json:"name"`
			HostPath *struct {
				Path string `json:"path"`
			} `json:"hostPath"`
		} `json:"volumes"`
	} `json:"spec"`
	Status struct {
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
		ContainerStatuses []struct {
			Name         string `json:"name"`
			RestartCount int    `json:"restartCount"`
			State        struct {
				Running *struct {
					StartedAt time.Time `json:"startedAt"`
				} `json:"running"`
			} `json:"state"`
		} `json:"containerStatuses"`
	} `json:"status"`
}

// serves tells whether a Service would send requests to it.
func (p *pod) serves(app string) bool {
	ready := false
	for _, condition := range p.Status.Conditions {
		ready = ready || condition.Type == "Ready" && condition.Status == "True"
	}
	return ready && p.Metadata.Labels["app"] == app && p.Metadata.DeletionTimestamp == nil && len(p.Spec.Containers) > 0
}

func (p *pod) release() release {
	image := p.Spec.Containers[0].Image
	return releaseOf(image[strings.LastIndex(image, ":")+1:])
}

// variable gives the value of an environment variable of its container, as far as its spec holds it.
func (p *pod) variable(name string) string {
	for _, variable := range p.Spec.Containers[0].Env {
		if variable.Name == name {
			return variable.Value
		}
	}
	return ""
}

// database gives the file on this machine that the pod's DATABASE_PATH names.
func (p *pod) database(data string) string {
	container, path := p.Spec.Containers[0], cmp.Or(p.variable("DATABASE_PATH"), defaultDatabase)
	for _, mount := range container.VolumeMounts {
		if rest, inside := strings.CutPrefix(path, mount.MountPath+"/"); inside {
			for _, volume := range p.Spec.Volumes {
				if volume.Name == mount.Name && volume.HostPath != nil {
					return filepath.Join(data, volume.HostPath.Path, rest)
				}
			}
		}
	}
	// What lies in no volume would be in the container's own file system, which is empty.
	return filepath.Join(data, "containers", p.Metadata.Name, path)
}

// life gives the number of its container's life, and when it began if it runs.
func (p *pod) life() (int, *time.Time) {
	for _, status := range p.Status.ContainerStatuses {
		if status.Name == p.Spec.Containers[0].Name {
			if status.State.Running != nil {
				return status.RestartCount, &status.State.Running.StartedAt
			}
			return status.RestartCount, nil
		}
	}
	return 0, nil
}

// loopback answers on this machine, where no container runs, as the next live pod would. For Prometheus it also has
// /targets, the backend's live pods for HTTP service discovery, and /pods/NAME/metrics, which is /metrics of one pod.
type loopback struct {
	fetch     func() ([]pod, error)
	namespace string
	data      string
	turn      atomic.Uint64
	lock      sync.Mutex
	lives     map[string]*counters // what each life of a container counted
}

func (l *loopback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	app, path := frontendLabel, r.URL.Path
	if path == "/targets" {
		l.targets(w, r.Host)
		return
	}
	if name, isPod := strings.CutPrefix(path, "/pods/"); isPod {
		l.metrics(w, strings.TrimSuffix(name, "/metrics"))
		return
	}
	if name, _ := known(path); name != "" {
		app = backendLabel
	} else if path != "/" {
		notFound(w)
		return
	}
	chosen, database, err := l.next(app)
	switch {
	case err != nil && path == "/health":
		replyJSON(w, 503, unsound{"error", "", database, err.Error()})
	case err != nil && path == "/":
		replyText(w, 503, "text/plain", "Service unavailable: "+err.Error()+"\n")
	case err != nil:
		replyJSON(w, 503, object{"error": err.Error()})
	case app == frontendLabel:
		(&frontend{release: chosen.release()}).ServeHTTP(w, r)
	default:
		l.backend(chosen).ServeHTTP(w, r)
	}
}

// next gives the pod that a Service would choose; else what /health says of the database, and why.
func (l *loopback) next(app string) (*pod, string, error) {
	pods, err := l.serving(app)
	if err != nil {
		return nil, "unknown", err
	}
	if len(pods) == 0 {
		return nil, "unreachable", fmt.Errorf("no pod of %s is ready", app)
	}
	return &pods[(l.turn.Add(1)-1)%uint64(len(pods))], "", nil
}

// serving gives the pods that a Service would choose from, by name.
func (l *loopback) serving(app string) ([]pod, error) {
	pods, err := l.fetch()
	if err != nil {
		return nil, fmt.Errorf("it is not known which pods serve: %w", err)
	}
	pods = slices.DeleteFunc(pods, func(one pod) bool { return !one.serves(app) })
	slices.SortFunc(pods, func(a, b pod) int { return cmp.Compare(a.Metadata.Name, b.Metadata.Name) })
	return pods, nil
}

// targets lists the backend's pods; address is where Prometheus reaches this program.
func (l *loopback) targets(w http.ResponseWriter, address string) {
	pods, err := l.serving(backendLabel)
	if err != nil {
		replyJSON(w, 503, object{"error": err.Error()})
		return
	}
	groups := []object{}
	for _, one := range pods {
		name := one.Metadata.Name
		labels := object{"namespace": l.namespace, "pod": name, "__metrics_path__": "/pods/" + name + "/metrics"}
		groups = append(groups, object{"targets": []string{address}, "labels": labels})
	}
	replyJSON(w, 200, groups)
}

// metrics is what one pod of the backend counted.
func (l *loopback) metrics(w http.ResponseWriter, name string) {
	pods, err := l.serving(backendLabel)
	if err != nil {
		replyJSON(w, 503, object{"error": err.Error()})
		return
	}
	index := slices.IndexFunc(pods, func(one pod) bool { return one.Metadata.Name == name })
	if index < 0 {
		notFound(w)
		return
	}
	l.backend(&pods[index]).metrics(w)
}

func (l *loopback) backend(of *pod) *backend {
	number, started := of.life()
	l.lock.Lock()
	defer l.lock.Unlock()
	key := fmt.Sprintf("%s %s %d", of.Metadata.Name, of.Metadata.UID, number)
	if l.lives[key] == nil {
		l.lives[key] = newCounters()
	}
	index := cmp.Or(of.variable("SEARCH_INDEX"), defaultIndex)
	return &backend{of.release(), of.database(l.data), index, l.lives[key], func() bool {
		return number == 0 && started != nil && time.Since(*started) < patience
	}}
}

// apiServer reads pods with a kubeconfig's access.
type apiServer struct {
	client *http.Client
	url    string
	token  string
}

func newAPIServer(kubeconfig, namespace string) (*apiServer, error) {
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server    string `json:"server"`
				Authority []byte `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Token string `json:"token"`
			} `json:"user"`
		} `json:"users"`
	}
	text, err := os.ReadFile(kubeconfig)
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	if err == nil && (len(config.Clusters) != 1 || len(config.Users) != 1) {
		err = errors.New("it has not one cluster and one user")
	}
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig %s: %w", kubeconfig, err)
	}
	cluster := config.Clusters[0].Cluster
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cluster.Authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, IdleConnTimeout: 30 * time.Second}
	selector := url.QueryEscape(fmt.Sprintf("app in (%s,%s)", backendLabel, frontendLabel))
	return &apiServer{
		client: &http.Client{Transport: transport, Timeout: apiTimeout},
		url:    cluster.Server + "/api/v1/namespaces/" + url.PathEscape(namespace) + "/pods?labelSelector=" + selector,
		token:  config.Users[0].User.Token,
	}, nil
}

func (a *apiServer) pods() ([]pod, error) {
	request, err := http.NewRequest(http.MethodGet, a.url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	answer, err := a.client.Do(request)
	if err != nil {
		var problem *url.Error
		if errors.As(err, &problem) {
			err = problem.Err
		}
		return nil, fmt.Errorf("The API server did not answer: %w.", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("The API server did not answer in full: %w.", err)
	}
	if answer.StatusCode != 200 {
		return nil, fmt.Errorf("The API server answered %d.", answer.StatusCode)
	}
	var list struct {
		Items []pod `json:"items"`
	}
	if err = json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("The API server answered no list of pods: %w.", err)
	}
	return list.Items, nil
}

func runLoopback(kubeconfig, namespace, data, portFile string) {
	if kubeconfig == "" || namespace == "" || data == "" || portFile == "" {
		fail("usage: zkprova loopback --kubeconfig FILE --namespace N --data DIR --port-file FILE")
	}
	server, err := newAPIServer(kubeconfig, namespace)
	if err != nil {
		die("%v", err)
	}
	database := filepath.Join(data, onNode)
	if err = os.MkdirAll(filepath.Dir(database), 0o755); err != nil {
		die("%v", err)
	}
	if _, err = os.Stat(database); os.IsNotExist(err) {
		if err = prepare(database); err != nil {
			die("%s: %s", explain(err), database)
		}
	}
	serve("127.0.0.1:0", portFile, &loopback{
		fetch: server.pods, namespace: namespace, data: data, lives: map[string]*counters{},
	})
}
