"""What is measured: Debian's proxies and ours, each as one thread on one core, without an access log."""

import re
import subprocess
import urllib.request

from processes import Failed, Process, listens, wait_until

BACKEND_PORT = 9000
TLS_BACKEND_PORT = 9001
CONNECTIONS_MAX = 9900  # of peers; each takes two of 20,000 open files

HAPROXY = """
global
    nbthread 1
    maxconn {maximum}
    maxpipes 64
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    {options}
listen relay
    bind 127.0.0.1:{port}
    server backend 127.0.0.1:{backend}
"""

NGINX = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log {directory}/error.log error;
events {{ worker_connections 19900; }}
stream {{
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        ssl_preread on;
        proxy_pass 127.0.0.1:{backend};
        proxy_timeout 1h;
        {options}
    }}
}}
"""

SNIPROXY = """
user root
pidfile {directory}/sniproxy.pid
error_log {{
    filename {directory}/error.log
    priority error
}}
listen 127.0.0.1:{port} {{
    proto tls
    table relay
}}
table relay {{
    relay.bench.test 127.0.0.1:{backend}
}}
"""

# Sessions are not limited by rate here: one source makes as many as the load generator can.
EDGE = """
listener {{
  protocol: {protocol}
  address: "127.0.0.1:{port}"
  {limits}
  {routes}
}}
{upstreams}
{admin}
log {{ level: WARNING }}
"""

ROUTE = 'route {{ server_name: "{name}" upstream: "{name}" }}'
UPSTREAM = 'upstream {{ name: "{name}" server {{ address: "127.0.0.1:{backend}" }} }}'

SIDECAR = """
listener {{
  protocol: TCP
  address: "127.0.0.1:{port}"
}}
upstream {{
  name: "edge"
  protocol: {protocol}
  {turbo}
  server {{ address: "127.0.0.1:{edge}" }}
}}
log {{ level: WARNING }}
"""


class Subject:
    """A way from the load generator to the backend; `port` is where it begins, `ports` where else it does."""

    def __init__(self, name, port, processes, metrics_port=None, ports=None, udp_port=None):
        self.name = name
        self.port = port
        self.ports = ports or [port]
        self.udp_port = udp_port or port  # of the edge
        self.processes = processes
        self.opened = 0  # new connections that were measured, or opened to warm up
        self.metrics_port = metrics_port

    def cpu_ns(self):
        return self.by_name(Process.cpu_ns)

    def memory(self):
        return self.by_name(Process.memory)

    def by_name(self, figure):
        """Those of the same name count as one."""
        total = {}
        for process in self.processes:
            total[process.name] = total.get(process.name, 0) + figure(process)
        return total

    def metrics(self, pattern):
        """The lines of the edge's metrics whose name and labels match."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        return [line for line in lines if re.search(pattern, line)]

    def metric(self, pattern):
        """Their sum."""
        return sum(float(line.rpartition(" ")[2]) for line in self.metrics(pattern))

    def stop(self):
        for process in self.processes:
            process.stop()


class Starter:
    """Starts subjects; each gets ports of its own."""

    def __init__(self, directory, program, cores, other=None):
        self.directory = directory
        self.program = program
        self.other_program = other
        self.cores = cores
        self.next_port = 10000
        self.takes_workers = self.has_workers(program)

    @staticmethod
    def has_workers(program):
        done = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
        return "--workers" in done.stdout

    def port(self):
        self.next_port += 1
        return self.next_port

    def run(self, name, command, port, cores=None, udp=False):
        directory = self.directory / f"{name}-{port}"
        directory.mkdir(exist_ok=True)
        process = Process(name, command, cores or self.cores, directory / "log", cwd=directory)
        try:
            wait_until(lambda: process.check() or listens(port), f"{name} listens")
            if udp:
                wait_until(lambda: listens(port, "udp"), f"{name} listens to UDP")
        except Failed:
            process.stop()
            raise
        return process

    def peer(self, name, template, command, backend, options=""):
        port = self.port()
        directory = self.directory / f"{name}-{port}"
        directory.mkdir()
        config = directory / "config"
        config.write_text(
            template.format(
                port=port, backend=backend, options=options, directory=directory, maximum=CONNECTIONS_MAX
            )
        )
        process = self.run(name, [part.replace("CONFIG", str(config)) for part in command], port)
        return Subject(name, port, [process])

    def ours(self, name, port, config, workers=1, cores=None, udp=False):
        program = self.other_program if name == "other" else self.program
        path = self.directory / f"{name}-{port}.txtpb"
        path.write_text(config)
        extra = ["--workers", workers] if self.has_workers(program) else []
        return self.run(name, [program, "--config", path, *extra], port, cores, udp)

    def edge(self, name, protocol, backend, names=(), workers=1, cores=None, sessions=65536):
        """
        Our program in front of the backend; the process, its port, and that of its metrics. Each of the server names has
        a route and an upstream of its own, all of which are the backend.
        """
        port, metrics = self.port(), self.port()
        turbo = protocol == "TURBO"
        limits = f"max_sessions: {sessions} session_rate: 100000 source_rate: 100000" if turbo else ""
        config = EDGE.format(
            port=port,
            protocol=protocol,
            limits=limits,
            routes="\n  ".join([*(ROUTE.format(name=name) for name in names), 'route { upstream: "backend" }']),
            upstreams="\n".join(UPSTREAM.format(name=name, backend=backend) for name in [*names, "backend"]),
            admin=f'admin {{ address: "127.0.0.1:{metrics}" }}' if turbo else "",
        )
        return self.ours(name, port, config, workers, cores, udp=turbo), port, metrics

    def direct(self, backend):
        return Subject("direct", backend, [])

    def haproxy(self, backend):
        return self.peer("haproxy", HAPROXY, ["haproxy", "-db", "-q", "-f", "CONFIG"], backend)

    def haproxy_splice(self, backend):
        options = "option splice-request\n    option splice-response"
        return self.peer("haproxy-splice", HAPROXY, ["haproxy", "-db", "-q", "-f", "CONFIG"], backend, options)

    def nginx(self, backend):
        return self.peer("nginx", NGINX, ["nginx", "-c", "CONFIG", "-e", "stderr"], backend)

    def nginx_64k(self, backend):
        command = ["nginx", "-c", "CONFIG", "-e", "stderr"]
        return self.peer("nginx-64k", NGINX, command, backend, "proxy_buffer_size 64k;")

    def sniproxy(self, backend):
        return self.peer("sniproxy", SNIPROXY, ["sniproxy", "-f", "-c", "CONFIG", "-n", "20000"], backend)

    def tcp_tcp(self, backend, workers=1, cores=None, name="tcp-tcp"):
        process, port, _ = self.edge(name, "TCP", backend, workers=workers, cores=cores)
        return Subject(name, port, [process])

    def other(self, backend):
        """tcp→tcp by another build, for comparison."""
        return self.tcp_tcp(backend, name="other")

    def edge_classic(self, backend, **options):
        """turbo→tcp, its clients classic."""
        name = options.pop("name", "edge-classic")
        process, port, metrics = self.edge(name, "TURBO", backend, **options)
        return Subject(name, port, [process], metrics)

    def sidecar_and_edge(self, name, backend, protocol, sidecars=1, **options):
        edge, edge_port, metrics = self.edge("edge", "TURBO", backend, **options)
        turbo = "turbo: ALWAYS" if protocol == "TURBO" else ""
        ports = [self.port() for _ in range(sidecars)]
        started = []
        for port in ports:
            config = SIDECAR.format(port=port, edge=edge_port, protocol=protocol, turbo=turbo)
            started.append(self.ours("sidecar", port, config))
        return Subject(name, ports[0], [*started, edge], metrics, ports, edge_port)

    def pair(self, backend, **options):
        """tcp→turbo and turbo→tcp. On a loopback TCP is up at once; UDP is used all the same."""
        return self.sidecar_and_edge("pair", backend, "TURBO", **options)

    def pair_classic(self, backend, **options):
        """The same two processes, without UDP: what `pair` is compared with."""
        return self.sidecar_and_edge("pair-classic", backend, "TCP", **options)
