# The steps that the containers of a pod can take now. Input: the pod. Output: a list of {index, do, after}, the
# earliest first: the container's place in initContainers + containers, the name of a step of stages.py, and
# seconds from now. A pod takes the first one; whatever changes the pod makes this list anew.
. as $pod
| ($pod.spec.initContainers // [] | map(. + {init: true, sidecar: (.restartPolicy == "Always")})) as $inits
| ($inits + $pod.spec.containers) as $containers
| ($pod.status.initContainerStatuses // [] | . + $pod.status.containerStatuses) as $statuses

# -- What a container's spec says of its behaviour. --

# The number behind --NAME= among the arguments of a container that is told to "act", else null.
| def acts($name):
    ("--" + $name + "=") as $option
    | first(.args // [] | select(.[0] == "act")[] | select(startswith($option)) | ltrimstr($option) | tonumber)
      // null;
  def is_ours: .image | test("^zkprova/");
  def is_pullable: (is_ours | not) or (.image | test(":[0-9]+[.][0-9]+[.][0-9]+-[0-9a-f]{7}$"));
  def lost_database:
    [.volumeMounts[]?.mountPath + "/"] as $mounts
    | any(.env[]? | select(.name == "DATABASE_PATH").value;
        . as $path | all($mounts[]; . as $mount | $path | startswith($mount) | not));
  def is_refused($probe): is_ours and (.[$probe].httpGet.path // "/health") != "/health";
  def ends: (.init or $pod.spec.restartPolicy != "Always") and (.sidecar | not) and .args[0]? != "act";

  # How long one of its lives lasts and with what it ends; null: it stays.
  def life($restarts):
    if acts("exit") != null then {lasts_s: (acts("after") // 0), code: acts("exit")}
    elif lost_database then {lasts_s: (if $restarts == 0 then 1.5 else 0.3 end), code: 1}
    elif ends then {lasts_s: (if .init then 0.3 else 0.5 end), code: 0}
    else null end;

# -- What the kubelet makes of it. --

  # What is left of a time that began at a stamp of the API's. Stamps have whole seconds: it is never cut short.
  def left($lasts_s; $since): [0, $lasts_s - ([0, now - ($since | fromdate) - 1] | max)] | max;
  def back_off_s($restarts): [1, 2, 4, 8, 16, 30][[5, $restarts - 1] | min];
  def status: .name as $name | first($statuses[] | select(.name == $name));
  # An init container that ended well is done, whatever the pod's policy.
  def is_restarted($code):
    (.restartPolicy // $pod.spec.restartPolicy) as $policy
    | $code != 0 and $policy != "Never" or $policy == "Always" and (.sidecar or (.init | not));
  def is_over: status.state.terminated as $ended | $ended != null and (is_restarted($ended.exitCode) | not);
  def is_initialized: .sidecar as $sidecar
    | status | if $sidecar then .started else .state.terminated.exitCode == 0 end;

  # A running container ends, is killed, or is probed.
  def runs($s):
    $s.state.running.startedAt as $since
    | life($s.restartCount) as $life
    | acts("unready-after") as $ready_s
    | ($pod.status.conditions[] | select(.type == "Ready").lastProbeTime) as $probed
    | (is_refused("readinessProbe") or $ready_s != null and left($ready_s; $since) == 0) as $refused
    | (select($life != null)
        | {do: (if $life.code == 0 then "exit" else "fail" end), after: left($life.lasts_s; $since)}),
      (select(.sidecar and all($pod.spec.containers[]; is_over)) | {do: "stop", after: 0.1}),
      (select(is_refused("livenessProbe")) | {do: "kill", after: left(3; $since)}),
      if .init and (.sidecar | not) or lost_database and $s.restartCount > 0 then empty
      elif $refused then {
        do: "probe-failed",
        after: (if $s.ready then 0 elif $probed == null then 0.3 else left(5; $probed) end)
      }
      elif $s.ready then select($ready_s != null) | {do: "probe-failed", after: left($ready_s; $since)}
      elif .image | test("^zkprova/backend:") then {do: "ready-after-a-warning", after: 0.1}
      else {do: "ready", after: 0.1} end;

  # Init containers come one after the other, then the others.
  def has_its_turn: .init as $init | .name as $name
    | all($inits[:(if $init then [$inits[].name] | index($name) else null end)][]; is_initialized);

  def step:
    status as $s
    | if $pod.metadata.deletionTimestamp then select($s.state.running) | {do: "stop", after: 0.3}
      elif $pod.status.phase == "Succeeded" or $pod.status.phase == "Failed" then empty
      elif $s.state.running then runs($s)
      elif $s.state.terminated then
        select(is_restarted($s.state.terminated.exitCode))
        | {do: (if $s.restartCount == 0 then "start" else "back-off" end), after: 0.1}
      elif $s.state.waiting.reason == "CrashLoopBackOff" then
        {do: "start", after: left(back_off_s($s.restartCount); $s.lastState.terminated.finishedAt)}
      elif $s.state.waiting.reason == "ErrImagePull" then {do: "pull-back-off", after: 1}
      elif $s.state.waiting.reason == "ImagePullBackOff" then {do: "pull-again", after: 5}
      elif has_its_turn | not then empty
      elif is_pullable then {do: "start", after: 0.1}
      else {do: "pull-failed", after: 0.2} end;

  [$containers | to_entries[] | .key as $index | .value | step | . + {index: $index}] | sort_by(.after)
