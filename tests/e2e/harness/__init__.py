"""What the end-to-end tests share: the proxy as a process, servers, clients and a network between them.

Everything waits for an event with a deadline, takes its ports from the kernel, and ends only what it started.
"""
