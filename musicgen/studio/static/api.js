/** The server's HTTP API; /api/openapi.json describes it. */

const PATIENCE = 4; // times that a busy server is asked again
const TOKEN = "musicgen-token";

/** What the server refused: where it says so, with the field, or line and column, at fault. */
export class ApiError extends Error {
  constructor(status, { message, field = null, line = null, column = null }) {
    super(message);
    Object.assign(this, { status, field, line, column });
  }
}

/** Take the token out of the address, where a server for others printed one. */
export function adoptToken() {
  const address = new URL(location.href);
  const token = address.searchParams.get("token");
  if (token === null) return;
  sessionStorage.setItem(TOKEN, token);
  address.searchParams.delete("token");
  history.replaceState(null, "", address);
}

export async function get(path) {
  return (await ask(path, { method: "GET" })).json();
}

export async function post(path, body, signal = null) {
  return (await ask(path, { method: "POST", body, signal })).json();
}

/** The events of takes as they are sampled; aborting the signal cancels the work. */
export async function* sampled(request, signal) {
  const response = await ask("/api/takes", { method: "POST", body: request, signal });
  const lines = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await lines.read();
    const parts = (rest + (value ?? "")).split("\n");
    rest = done ? "" : parts.pop();
    for (const line of parts) if (line.trim()) yield JSON.parse(line);
    if (done) return;
  }
}

/** Tunes as a file: its bytes and the name that the server gives it. */
export async function exported(abc, format, instrument = null, signal = null) {
  const body = instrument ? { abc, format, instrument } : { abc, format };
  const response = await ask("/api/export", { method: "POST", body, signal });
  const named = /filename="?([\w.-]+)"?/.exec(response.headers.get("Content-Disposition") ?? "");
  return { blob: await response.blob(), name: named?.[1] ?? `tune.${format}` };
}

async function ask(path, { method, body, signal }) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  for (let attempt = 1; ; attempt += 1) {
    const response = await answered(path, {
      method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (response.ok) return response;
    if (response.status !== 429 || attempt > PATIENCE) throw await refusal(response);
    await pause(Number(response.headers.get("Retry-After")) || attempt, signal);
  }
}

async function answered(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { message: "The studio's server does not answer; is it still running?" });
  }
}

async function refusal(response) {
  const found = await response.json().catch(() => ({}));
  const message = `The server answered ${response.status} ${response.statusText}`.trim();
  return new ApiError(response.status, { message, ...found.error });
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(new DOMException("aborted", "AbortError")); };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, 1000 * Math.min(30, seconds));
    signal?.addEventListener("abort", stop, { once: true });
  });
}
