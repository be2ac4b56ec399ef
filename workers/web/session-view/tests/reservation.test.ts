/** The reservation of a prompt that is being composed. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createReservation } from "../src/reservation.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("it is asked for at the first key and once a minute while keys go on, under one id", () => {
  const asked: [string, string][] = [];
  const reservation = createReservation(async (repository, id) => asked.push([repository, id]));
  expect(reservation.of("acme/shop")).toBeUndefined();
  for (let second = 0; second < 150; second += 1) {
    reservation.typed("acme/shop");
    vi.advanceTimersByTime(1000);
  }
  const id = reservation.of("acme/shop");
  expect(id).toMatch(/^rsv_[0-9a-hjkmnp-tv-z]{26}$/);
  expect(asked).toEqual(Array(3).fill(["acme/shop", id]));
});

test("another repository has one of its own, and going back asks for nothing twice", () => {
  const asked: string[] = [];
  const reservation = createReservation(async (repository) => asked.push(repository));
  for (const repository of ["acme/shop", "acme/api", "acme/shop"]) reservation.typed(repository);
  expect(asked).toEqual(["acme/shop", "acme/api"]);
  expect(reservation.of("acme/shop")).not.toBe(reservation.of("acme/api"));
});

test("a refusal is nobody's business", async () => {
  const reservation = createReservation(() => Promise.reject(new Error("no such repository")));
  reservation.typed("acme/shop");
  await vi.advanceTimersByTimeAsync(1000);
  expect(reservation.of("acme/shop")).toBeDefined();
});
