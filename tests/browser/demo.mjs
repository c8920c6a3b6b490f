// The demo as a child process on an ephemeral port.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** Starts the demo; returns its URL and a function that stops it. */
export async function startDemo(binary) {
  const child = spawn(binary, ["--web.listen-address=127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    await exited;
  };
  const lines = createInterface({ input: child.stdout });
  const limit = setTimeout(() => child.kill("SIGKILL"), 60_000);
  for await (const line of lines) {
    const port = /\bhttp:\/\/localhost:(\d+)/.exec(line)?.[1];
    if (port) {
      clearTimeout(limit);
      child.stdout.resume();
      return { url: `http://127.0.0.1:${port}`, stop };
    }
  }
  throw new Error(`the demo exited (${child.exitCode ?? child.signalCode}) before it printed its URL`);
}
