// Generated from the crate `protocol`. The compiler checks the golden vectors against the types.
import type { ClientMessage, ServerMessage } from "./index.js";

export const clientMessages = [
  {
    "type": "subscribe"
  },
  {
    "type": "subscribe",
    "since": 41
  },
  {
    "type": "prompt",
    "prompt": {
      "id": "prm_1",
      "text": "Fix the total",
      "model": "demo/demo-1",
      "origin": "web"
    }
  },
  {
    "type": "cancel_prompt",
    "promptId": "prm_1"
  },
  {
    "type": "stop",
    "turnId": "trn_1"
  },
  {
    "type": "prompt",
    "prompt": {
      "id": "prm_1",
      "text": "Fix the total",
      "model": "demo/demo-1",
      "origin": "web",
      "delivery": "steer"
    }
  },
  {
    "type": "ack",
    "seq": 41
  },
  {
    "type": "typing"
  },
  {
    "type": "edit_prompt",
    "promptId": "prm_1",
    "text": "Fix it"
  },
  {
    "type": "move_prompt",
    "promptId": "prm_1"
  },
  {
    "type": "move_prompt",
    "promptId": "prm_1",
    "before": "prm_2"
  },
  {
    "type": "set_role",
    "userId": "usr_ada",
    "role": "viewer"
  },
  {
    "type": "rename",
    "title": "Totals"
  }
] satisfies ClientMessage[];

export const serverMessages = [
  {
    "type": "snapshot",
    "seq": 42,
    "snapshot": {
      "session": {
        "id": "ses_1",
        "title": "Fix the total",
        "repository": "acme/shop",
        "defaultBranch": "main",
        "branch": "farhand/ses_1",
        "model": "demo/demo-1",
        "createdBy": "usr_ada",
        "createdAt": 1795000000000
      },
      "participants": [],
      "prompts": [
        {
          "id": "prm_1",
          "author": "usr_ada",
          "origin": "slack",
          "text": "Fix the total",
          "submittedAt": 1795000000000,
          "state": "queued"
        }
      ],
      "turns": [
        {
          "id": "trn_1",
          "promptId": "prm_1",
          "attempt": 1,
          "startedAt": 1795000000000,
          "end": {
            "endedAt": 1795000000000,
            "outcome": {
              "type": "failed",
              "reason": "The model refused the key."
            },
            "change": {
              "branch": "farhand/ses_1",
              "commit": "0123456789abcdef0123456789abcdef01234567",
              "subject": "Fix the total",
              "filesChanged": 1,
              "additions": 2,
              "deletions": 1
            },
            "usage": {
              "inputTokens": 1200,
              "outputTokens": 80,
              "cachedTokens": 1000,
              "costUsd": 0.25
            },
            "firstTokenMs": 310
          }
        }
      ],
      "items": [
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "text",
            "text": "Done — see `cart`.",
            "done": true
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "reasoning",
            "text": "Hm.",
            "done": false
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "tool",
            "name": "bash",
            "title": "sh test.sh",
            "input": "{\"command\":\"sh test.sh\"}",
            "state": {
              "type": "running"
            },
            "output": "ok\n",
            "omittedBytes": 0
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "tool",
            "name": "bash",
            "title": "sh test.sh",
            "input": "{\"command\":\"sh test.sh\"}",
            "state": {
              "type": "completed",
              "durationMs": 12,
              "exitCode": 0,
              "edit": {
                "additions": 1,
                "deletions": 0
              }
            },
            "output": "ok\n",
            "omittedBytes": 0
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "tool",
            "name": "bash",
            "title": "sh test.sh",
            "input": "{\"command\":\"sh test.sh\"}",
            "state": {
              "type": "failed",
              "durationMs": 12,
              "message": "no such file"
            },
            "output": "ok\n",
            "omittedBytes": 0
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "plan",
            "steps": [
              {
                "text": "Read",
                "state": "running"
              }
            ]
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "notice",
            "level": "warning",
            "text": "Retrying in 2 s"
          }
        }
      ],
      "artifacts": [
        {
          "id": "art_1",
          "turnId": "trn_1",
          "changedAt": 1795000000000,
          "content": {
            "type": "branch",
            "change": {
              "branch": "farhand/ses_1",
              "commit": "0123456789abcdef0123456789abcdef01234567",
              "subject": "Fix the total",
              "filesChanged": 1,
              "additions": 2,
              "deletions": 1
            }
          }
        },
        {
          "id": "art_1",
          "turnId": "trn_1",
          "changedAt": 1795000000000,
          "content": {
            "type": "diff",
            "files": [
              {
                "path": "src/cart.sh",
                "previousPath": "cart.sh",
                "status": "renamed",
                "additions": 1,
                "deletions": 1,
                "hunks": [
                  {
                    "oldStart": 1,
                    "newStart": 1,
                    "heading": "total()",
                    "lines": [
                      {
                        "kind": "context",
                        "text": "a"
                      },
                      {
                        "kind": "removed",
                        "text": "b"
                      },
                      {
                        "kind": "added",
                        "text": "c"
                      }
                    ]
                  }
                ],
                "omitted": false
              }
            ]
          }
        },
        {
          "id": "art_1",
          "turnId": "trn_1",
          "changedAt": 1795000000000,
          "content": {
            "type": "pull_request",
            "number": 7,
            "url": "https://github.example/acme/shop/pull/7",
            "title": "Fix the total",
            "author": "usr_ada",
            "base": "main"
          }
        }
      ],
      "sandbox": {
        "state": "none"
      },
      "usage": {
        "inputTokens": 1200,
        "outputTokens": 80,
        "cachedTokens": 1000,
        "costUsd": 0.25
      }
    }
  },
  {
    "type": "caught_up",
    "seq": 42
  },
  {
    "type": "presence",
    "users": [
      "usr_ada"
    ]
  },
  {
    "type": "prompt_accepted",
    "promptId": "prm_1",
    "seq": 43
  },
  {
    "type": "rejected",
    "promptId": "prm_1",
    "error": {
      "code": "queue_full",
      "message": "The queue has 100 prompts; wait or cancel one."
    }
  },
  {
    "type": "event",
    "seq": 1,
    "at": 1795000000000,
    "event": {
      "type": "session_created",
      "repository": "acme/shop",
      "createdBy": "usr_ada"
    }
  },
  {
    "type": "event",
    "seq": 2,
    "at": 1795000000000,
    "event": {
      "type": "title_changed",
      "title": "Fix the total"
    }
  },
  {
    "type": "event",
    "seq": 3,
    "at": 1795000000000,
    "event": {
      "type": "participant_joined",
      "participant": {
        "userId": "usr_ada",
        "login": "ada",
        "name": "Ada Lovelace",
        "joinedAt": 1795000000000
      }
    }
  },
  {
    "type": "event",
    "seq": 4,
    "at": 1795000000000,
    "event": {
      "type": "prompt_queued",
      "prompt": {
        "id": "prm_1",
        "author": "usr_ada",
        "origin": "slack",
        "text": "Fix the total",
        "submittedAt": 1795000000000,
        "state": "queued"
      }
    }
  },
  {
    "type": "event",
    "seq": 5,
    "at": 1795000000000,
    "event": {
      "type": "prompt_cancelled",
      "promptId": "prm_1",
      "by": "usr_ada"
    }
  },
  {
    "type": "event",
    "seq": 6,
    "at": 1795000000000,
    "event": {
      "type": "turn_started",
      "turn": {
        "id": "trn_1",
        "promptId": "prm_1",
        "attempt": 1,
        "startedAt": 1795000000000
      }
    }
  },
  {
    "type": "event",
    "seq": 7,
    "at": 1795000000000,
    "event": {
      "type": "stop_requested",
      "turnId": "trn_1",
      "by": "usr_ada"
    }
  },
  {
    "type": "event",
    "seq": 8,
    "at": 1795000000000,
    "event": {
      "type": "item_appended",
      "itemId": "itm_1",
      "offset": 4,
      "text": "é🦀"
    }
  },
  {
    "type": "event",
    "seq": 9,
    "at": 1795000000000,
    "event": {
      "type": "turn_ended",
      "turnId": "trn_1",
      "end": {
        "endedAt": 1795000000000,
        "outcome": {
          "type": "failed",
          "reason": "The model refused the key."
        },
        "change": {
          "branch": "farhand/ses_1",
          "commit": "0123456789abcdef0123456789abcdef01234567",
          "subject": "Fix the total",
          "filesChanged": 1,
          "additions": 2,
          "deletions": 1
        },
        "usage": {
          "inputTokens": 1200,
          "outputTokens": 80,
          "cachedTokens": 1000,
          "costUsd": 0.25
        },
        "firstTokenMs": 310
      },
      "promptState": "done"
    }
  },
  {
    "type": "event",
    "seq": 10,
    "at": 1795000000000,
    "event": {
      "type": "snapshot_taken",
      "snapshotId": "snp_1"
    }
  },
  {
    "type": "event",
    "seq": 11,
    "at": 1795000000000,
    "event": {
      "type": "effect_failed",
      "what": "open the pull request",
      "reason": "403"
    }
  },
  {
    "type": "event",
    "seq": 12,
    "at": 1795000000000,
    "event": {
      "type": "item_changed",
      "item": {
        "id": "itm_1",
        "turnId": "trn_1",
        "startedAt": 1795000000000,
        "content": {
          "type": "text",
          "text": "Done — see `cart`.",
          "done": true
        }
      }
    }
  },
  {
    "type": "event",
    "seq": 13,
    "at": 1795000000000,
    "event": {
      "type": "item_changed",
      "item": {
        "id": "itm_1",
        "turnId": "trn_1",
        "startedAt": 1795000000000,
        "content": {
          "type": "reasoning",
          "text": "Hm.",
          "done": false
        }
      }
    }
  },
  {
    "type": "event",
    "seq": 14,
    "at": 1795000000000,
    "event": {
      "type": "item_changed",
      "item": {
        "id": "itm_1",
        "turnId": "trn_1",
        "startedAt": 1795000000000,
        "content": {
          "type": "tool",
          "name": "bash",
          "title": "sh test.sh",
          "input": "{\"command\":\"sh test.sh\"}",
          "state": {
            "type": "running"
          },
          "output": "ok\n",
          "omittedBytes": 0
        }
      }
    }
  },
  {
    "type": "event",
    "seq": 15,
    "at": 1795000000000,
    "event": {
      "type": "item_changed",
      "item": {
        "id": "itm_1",
        "turnId": "trn_1",
        "startedAt": 1795000000000,
        "content": {
          "type": "tool",
          "name": "bash",
          "title": "sh test.sh",
          "input": "{\"command\":\"sh test.sh\"}",
          "state": {
            "type": "completed",
            "durationMs": 12,
            "exitCode": 0,
            "edit": {
              "additions": 1,
              "deletions": 0
            }
          },
          "output": "ok\n",
          "omittedBytes": 0
        }
      }
    }
  },
  {
    "type": "event",
    "seq": 16,
    "at": 1795000000000,
    "event": {
      "type": "item_changed",
      "item": {
        "id": "itm_1",
        "turnId": "trn_1",
        "startedAt": 1795000000000,
        "content": {
          "type": "tool",
          "name": "bash",
          "title": "sh test.sh",
          "input": "{\"command\":\"sh test.sh\"}",
          "state": {
            "type": "failed",
            "durationMs": 12,
            "message": "no such file"
          },
          "output": "ok\n",
          "omittedBytes": 0
        }
      }
    }
  },
  {
    "type": "event",
    "seq": 17,
    "at": 1795000000000,
    "event": {
      "type": "item_changed",
      "item": {
        "id": "itm_1",
        "turnId": "trn_1",
        "startedAt": 1795000000000,
        "content": {
          "type": "plan",
          "steps": [
            {
              "text": "Read",
              "state": "running"
            }
          ]
        }
      }
    }
  },
  {
    "type": "event",
    "seq": 18,
    "at": 1795000000000,
    "event": {
      "type": "item_changed",
      "item": {
        "id": "itm_1",
        "turnId": "trn_1",
        "startedAt": 1795000000000,
        "content": {
          "type": "notice",
          "level": "warning",
          "text": "Retrying in 2 s"
        }
      }
    }
  },
  {
    "type": "event",
    "seq": 19,
    "at": 1795000000000,
    "event": {
      "type": "sandbox_changed",
      "status": {
        "state": "none"
      }
    }
  },
  {
    "type": "event",
    "seq": 20,
    "at": 1795000000000,
    "event": {
      "type": "sandbox_changed",
      "status": {
        "state": "starting",
        "sandboxId": "sbx_1",
        "step": "cloning acme/shop"
      }
    }
  },
  {
    "type": "event",
    "seq": 21,
    "at": 1795000000000,
    "event": {
      "type": "sandbox_changed",
      "status": {
        "state": "ready",
        "sandboxId": "sbx_1",
        "description": {
          "provider": "local",
          "isolation": "namespaces",
          "agent": "opencode 1.18.33"
        }
      }
    }
  },
  {
    "type": "event",
    "seq": 22,
    "at": 1795000000000,
    "event": {
      "type": "sandbox_changed",
      "status": {
        "state": "stopped",
        "snapshotId": "snp_1"
      }
    }
  },
  {
    "type": "event",
    "seq": 23,
    "at": 1795000000000,
    "event": {
      "type": "sandbox_changed",
      "status": {
        "state": "failed",
        "reason": "No user namespaces."
      }
    }
  },
  {
    "type": "event",
    "seq": 24,
    "at": 1795000000000,
    "event": {
      "type": "artifact_changed",
      "artifact": {
        "id": "art_1",
        "turnId": "trn_1",
        "changedAt": 1795000000000,
        "content": {
          "type": "branch",
          "change": {
            "branch": "farhand/ses_1",
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "subject": "Fix the total",
            "filesChanged": 1,
            "additions": 2,
            "deletions": 1
          }
        }
      }
    }
  },
  {
    "type": "event",
    "seq": 25,
    "at": 1795000000000,
    "event": {
      "type": "artifact_changed",
      "artifact": {
        "id": "art_1",
        "turnId": "trn_1",
        "changedAt": 1795000000000,
        "content": {
          "type": "diff",
          "files": [
            {
              "path": "src/cart.sh",
              "previousPath": "cart.sh",
              "status": "renamed",
              "additions": 1,
              "deletions": 1,
              "hunks": [
                {
                  "oldStart": 1,
                  "newStart": 1,
                  "heading": "total()",
                  "lines": [
                    {
                      "kind": "context",
                      "text": "a"
                    },
                    {
                      "kind": "removed",
                      "text": "b"
                    },
                    {
                      "kind": "added",
                      "text": "c"
                    }
                  ]
                }
              ],
              "omitted": false
            }
          ]
        }
      }
    }
  },
  {
    "type": "event",
    "seq": 26,
    "at": 1795000000000,
    "event": {
      "type": "artifact_changed",
      "artifact": {
        "id": "art_1",
        "turnId": "trn_1",
        "changedAt": 1795000000000,
        "content": {
          "type": "pull_request",
          "number": 7,
          "url": "https://github.example/acme/shop/pull/7",
          "title": "Fix the total",
          "author": "usr_ada",
          "base": "main"
        }
      }
    }
  },
  {
    "type": "snapshot",
    "seq": 42,
    "snapshot": {
      "session": {
        "id": "ses_1",
        "title": "Fix the total",
        "repository": "acme/shop",
        "defaultBranch": "main",
        "branch": "farhand/ses_1",
        "model": "demo/demo-1",
        "createdBy": "usr_ada",
        "createdAt": 1795000000000,
        "archivedAt": 1795000000000
      },
      "participants": [
        {
          "userId": "usr_ada",
          "login": "ada",
          "name": "Ada Lovelace",
          "joinedAt": 1795000000000,
          "role": "owner"
        },
        {
          "userId": "usr_ada",
          "login": "ada",
          "name": "Ada Lovelace",
          "joinedAt": 1795000000000
        }
      ],
      "prompts": [
        {
          "id": "prm_1",
          "author": "usr_ada",
          "origin": "slack",
          "text": "Fix the total",
          "submittedAt": 1795000000000,
          "state": "cancelled",
          "steeredInto": "trn_1",
          "editedBy": "usr_ada",
          "cancelledBy": "usr_ada"
        }
      ],
      "queue": [
        "prm_1"
      ],
      "turns": [
        {
          "id": "trn_1",
          "promptId": "prm_1",
          "attempt": 1,
          "startedAt": 1795000000000,
          "stopRequestedBy": "usr_ada"
        }
      ],
      "earlier": 12,
      "items": [
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "text",
            "text": "Done — see `cart`.",
            "done": true
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "reasoning",
            "text": "Hm.",
            "done": false
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "tool",
            "name": "bash",
            "title": "sh test.sh",
            "input": "{\"command\":\"sh test.sh\"}",
            "state": {
              "type": "running"
            },
            "output": "ok\n",
            "omittedBytes": 0
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "tool",
            "name": "bash",
            "title": "sh test.sh",
            "input": "{\"command\":\"sh test.sh\"}",
            "state": {
              "type": "completed",
              "durationMs": 12,
              "exitCode": 0,
              "edit": {
                "additions": 1,
                "deletions": 0
              }
            },
            "output": "ok\n",
            "omittedBytes": 0
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "tool",
            "name": "bash",
            "title": "sh test.sh",
            "input": "{\"command\":\"sh test.sh\"}",
            "state": {
              "type": "failed",
              "durationMs": 12,
              "message": "no such file"
            },
            "output": "ok\n",
            "omittedBytes": 0
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "plan",
            "steps": [
              {
                "text": "Read",
                "state": "running"
              }
            ]
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "notice",
            "level": "warning",
            "text": "Retrying in 2 s"
          }
        }
      ],
      "artifacts": [
        {
          "id": "art_1",
          "turnId": "trn_1",
          "changedAt": 1795000000000,
          "content": {
            "type": "branch",
            "change": {
              "branch": "farhand/ses_1",
              "commit": "0123456789abcdef0123456789abcdef01234567",
              "subject": "Fix the total",
              "filesChanged": 1,
              "additions": 2,
              "deletions": 1
            }
          }
        },
        {
          "id": "art_1",
          "turnId": "trn_1",
          "changedAt": 1795000000000,
          "content": {
            "type": "diff",
            "files": [
              {
                "path": "src/cart.sh",
                "previousPath": "cart.sh",
                "status": "renamed",
                "additions": 1,
                "deletions": 1,
                "hunks": [
                  {
                    "oldStart": 1,
                    "newStart": 1,
                    "heading": "total()",
                    "lines": [
                      {
                        "kind": "context",
                        "text": "a"
                      },
                      {
                        "kind": "removed",
                        "text": "b"
                      },
                      {
                        "kind": "added",
                        "text": "c"
                      }
                    ]
                  }
                ],
                "omitted": false
              }
            ]
          }
        },
        {
          "id": "art_1",
          "turnId": "trn_1",
          "changedAt": 1795000000000,
          "content": {
            "type": "pull_request",
            "number": 7,
            "url": "https://github.example/acme/shop/pull/7",
            "title": "Fix the total",
            "author": "usr_ada",
            "base": "main"
          }
        }
      ],
      "sandbox": {
        "state": "none"
      },
      "usage": {
        "inputTokens": 1200,
        "outputTokens": 80,
        "cachedTokens": 1000,
        "costUsd": 0.25
      },
      "notices": [
        {
          "seq": 7,
          "at": 1795000000000,
          "event": {
            "type": "effect_failed",
            "what": "push",
            "reason": "403"
          }
        }
      ]
    }
  },
  {
    "type": "events",
    "events": [
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "title_changed",
          "title": "Totals",
          "by": "usr_ada"
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "participant_joined",
          "participant": {
            "userId": "usr_ada",
            "login": "ada",
            "name": "Ada Lovelace",
            "joinedAt": 1795000000000,
            "role": "owner"
          }
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "role_changed",
          "userId": "usr_ada",
          "role": "viewer",
          "by": "usr_ada"
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "prompt_queued",
          "prompt": {
            "id": "prm_1",
            "author": "usr_ada",
            "origin": "slack",
            "text": "Fix the total",
            "submittedAt": 1795000000000,
            "state": "queued",
            "delivery": "steer"
          }
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "prompt_edited",
          "promptId": "prm_1",
          "text": "Fix it",
          "by": "usr_ada"
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "prompt_moved",
          "promptId": "prm_1",
          "by": "usr_ada"
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "prompt_moved",
          "promptId": "prm_1",
          "before": "prm_2",
          "by": "usr_ada"
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "prompt_steered",
          "promptId": "prm_1",
          "turnId": "trn_1"
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "item_revised",
          "item": {
            "id": "itm_1",
            "turnId": "trn_1",
            "startedAt": 1795000000000,
            "content": {
              "type": "text",
              "text": "",
              "done": true
            }
          }
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "item_changed",
          "item": {
            "id": "itm_1",
            "turnId": "trn_1",
            "startedAt": 1795000000000,
            "content": {
              "type": "tool",
              "name": "bash",
              "title": "make",
              "input": "{}",
              "state": {
                "type": "completed",
                "durationMs": 9,
                "exitCode": 0
              },
              "output": "first … last",
              "omittedBytes": 200000,
              "artifactId": "art_out"
            }
          }
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "session_archived",
          "by": "usr_ada"
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "session_unarchived",
          "by": "usr_ada"
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "conversation_restored",
          "sandboxId": "sbx_1",
          "from": {
            "type": "snapshot",
            "snapshotId": "snp_1"
          }
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "conversation_restored",
          "sandboxId": "sbx_1",
          "from": {
            "type": "earlier_snapshot",
            "snapshotId": "snp_1",
            "turns": 1
          }
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "conversation_restored",
          "sandboxId": "sbx_1",
          "from": {
            "type": "digest",
            "turns": 3
          }
        }
      }
    ]
  },
  {
    "type": "presence_changed",
    "joined": [
      "usr_ada"
    ],
    "left": []
  },
  {
    "type": "typing",
    "userId": "usr_ada"
  },
  {
    "type": "lagging"
  },
  {
    "type": "events",
    "events": [
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "egress_denied",
          "denial": {
            "host": "example.net",
            "port": 443,
            "reason": "host_not_allowed",
            "count": 10
          }
        }
      }
    ]
  },
  {
    "type": "events",
    "events": [
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "artifact_changed",
          "artifact": {
            "id": "art_pull_request",
            "turnId": "trn_1",
            "changedAt": 1795000000000,
            "content": {
              "type": "pull_request",
              "number": 7,
              "url": "https://github.example/acme/shop/pull/7",
              "title": "Fix the total",
              "author": "usr_ada",
              "base": "main",
              "progress": {
                "state": "merged",
                "head": "0123456789abcdef0123456789abcdef01234567",
                "updatedAt": 1795000000000,
                "checks": [
                  {
                    "name": "a",
                    "state": "pending",
                    "url": "https://github.example/acme/shop/runs/1",
                    "commit": "0123456789abcdef0123456789abcdef01234567",
                    "updatedAt": 1795000000000
                  },
                  {
                    "name": "b",
                    "state": "passed",
                    "url": "https://github.example/acme/shop/runs/1",
                    "commit": "0123456789abcdef0123456789abcdef01234567",
                    "updatedAt": 1795000000000
                  },
                  {
                    "name": "c",
                    "state": "failed",
                    "url": "https://github.example/acme/shop/runs/1",
                    "commit": "0123456789abcdef0123456789abcdef01234567",
                    "updatedAt": 1795000000000
                  },
                  {
                    "name": "d",
                    "state": "skipped",
                    "url": "https://github.example/acme/shop/runs/1",
                    "commit": "0123456789abcdef0123456789abcdef01234567",
                    "updatedAt": 1795000000000
                  }
                ],
                "flagged": [
                  ".github/workflows/ci.yml"
                ],
                "byApp": true
              }
            }
          }
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "pull_request_changed",
          "number": 7,
          "state": "open"
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "pull_request_changed",
          "number": 7,
          "state": "closed"
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "pull_request_changed",
          "number": 7,
          "state": "merged"
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "review_added",
          "number": 7,
          "review": {
            "id": "review-1",
            "author": "grace",
            "verdict": "approved",
            "text": "Looks **good**",
            "url": "https://github.example/acme/shop/pull/7#r1",
            "updatedAt": 1795000000000
          }
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "review_added",
          "number": 7,
          "review": {
            "id": "review-2",
            "author": "grace",
            "verdict": "changes_requested",
            "text": "Looks **good**",
            "url": "https://github.example/acme/shop/pull/7#r1",
            "updatedAt": 1795000000000
          }
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "review_added",
          "number": 7,
          "review": {
            "id": "review-3",
            "author": "grace",
            "verdict": "dismissed",
            "text": "Looks **good**",
            "url": "https://github.example/acme/shop/pull/7#r1",
            "updatedAt": 1795000000000
          }
        }
      },
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "review_added",
          "number": 7,
          "review": {
            "id": "line-4",
            "author": "grace",
            "verdict": "comment",
            "text": "Looks **good**",
            "path": "src/total.js",
            "line": 12,
            "url": "https://github.example/acme/shop/pull/7#r1",
            "updatedAt": 1795000000000
          }
        }
      }
    ]
  },
  {
    "type": "events",
    "events": [
      {
        "seq": 7,
        "at": 1795000000000,
        "event": {
          "type": "prompt_moved",
          "promptId": "prm_1",
          "before": "prm_2",
          "by": "usr_ada",
          "delivery": "queue"
        }
      }
    ]
  },
  {
    "type": "snapshot",
    "seq": 42,
    "snapshot": {
      "session": {
        "id": "ses_1",
        "title": "Fix the total",
        "repository": "acme/shop",
        "defaultBranch": "main",
        "branch": "farhand/ses_1",
        "model": "demo/demo-1",
        "createdBy": "usr_ada",
        "createdAt": 1795000000000
      },
      "participants": [],
      "prompts": [
        {
          "id": "prm_1",
          "author": "usr_ada",
          "origin": "slack",
          "text": "Fix the total",
          "submittedAt": 1795000000000,
          "state": "queued"
        }
      ],
      "turns": [
        {
          "id": "trn_1",
          "promptId": "prm_1",
          "attempt": 1,
          "startedAt": 1795000000000,
          "end": {
            "endedAt": 1795000000000,
            "outcome": {
              "type": "failed",
              "reason": "The model refused the key."
            },
            "change": {
              "branch": "farhand/ses_1",
              "commit": "0123456789abcdef0123456789abcdef01234567",
              "subject": "Fix the total",
              "filesChanged": 1,
              "additions": 2,
              "deletions": 1
            },
            "usage": {
              "inputTokens": 1200,
              "outputTokens": 80,
              "cachedTokens": 1000,
              "costUsd": 0.25
            },
            "firstTokenMs": 310
          }
        }
      ],
      "items": [
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "text",
            "text": "Done — see `cart`.",
            "done": true
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "reasoning",
            "text": "Hm.",
            "done": false
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "tool",
            "name": "bash",
            "title": "sh test.sh",
            "input": "{\"command\":\"sh test.sh\"}",
            "state": {
              "type": "running"
            },
            "output": "ok\n",
            "omittedBytes": 0
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "tool",
            "name": "bash",
            "title": "sh test.sh",
            "input": "{\"command\":\"sh test.sh\"}",
            "state": {
              "type": "completed",
              "durationMs": 12,
              "exitCode": 0,
              "edit": {
                "additions": 1,
                "deletions": 0
              }
            },
            "output": "ok\n",
            "omittedBytes": 0
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "tool",
            "name": "bash",
            "title": "sh test.sh",
            "input": "{\"command\":\"sh test.sh\"}",
            "state": {
              "type": "failed",
              "durationMs": 12,
              "message": "no such file"
            },
            "output": "ok\n",
            "omittedBytes": 0
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "plan",
            "steps": [
              {
                "text": "Read",
                "state": "running"
              }
            ]
          }
        },
        {
          "id": "itm_1",
          "turnId": "trn_1",
          "startedAt": 1795000000000,
          "content": {
            "type": "notice",
            "level": "warning",
            "text": "Retrying in 2 s"
          }
        }
      ],
      "places": {
        "prompts": [
          2
        ],
        "turns": [
          7
        ],
        "items": [
          9,
          10,
          11,
          12,
          13,
          14,
          15
        ]
      },
      "artifacts": [
        {
          "id": "art_1",
          "turnId": "trn_1",
          "changedAt": 1795000000000,
          "content": {
            "type": "branch",
            "change": {
              "branch": "farhand/ses_1",
              "commit": "0123456789abcdef0123456789abcdef01234567",
              "subject": "Fix the total",
              "filesChanged": 1,
              "additions": 2,
              "deletions": 1
            }
          }
        },
        {
          "id": "art_1",
          "turnId": "trn_1",
          "changedAt": 1795000000000,
          "content": {
            "type": "diff",
            "files": [
              {
                "path": "src/cart.sh",
                "previousPath": "cart.sh",
                "status": "renamed",
                "additions": 1,
                "deletions": 1,
                "hunks": [
                  {
                    "oldStart": 1,
                    "newStart": 1,
                    "heading": "total()",
                    "lines": [
                      {
                        "kind": "context",
                        "text": "a"
                      },
                      {
                        "kind": "removed",
                        "text": "b"
                      },
                      {
                        "kind": "added",
                        "text": "c"
                      }
                    ]
                  }
                ],
                "omitted": false
              }
            ]
          }
        },
        {
          "id": "art_1",
          "turnId": "trn_1",
          "changedAt": 1795000000000,
          "content": {
            "type": "pull_request",
            "number": 7,
            "url": "https://github.example/acme/shop/pull/7",
            "title": "Fix the total",
            "author": "usr_ada",
            "base": "main"
          }
        }
      ],
      "sandbox": {
        "state": "none"
      },
      "usage": {
        "inputTokens": 1200,
        "outputTokens": 80,
        "cachedTokens": 1000,
        "costUsd": 0.25
      }
    }
  }
] satisfies ServerMessage[];
