/** Hands `/object/<name>/<call>` to the object of that name, the same for both sides; what is in front of the objects is not compared. */
export async function route(request, env) {
  const [, , name, ...call] = new URL(request.url).pathname.split("/");
  return env.SESSION.getByName(name).fetch(new Request(`https://session/${call.join("/")}`, request));
}
