-- What goes along with prompts. `prompts.attachments`: JSON of `protocol::timeline::PromptAttachment`, what the timeline tells of them.
ALTER TABLE prompts ADD COLUMN attachments TEXT NOT NULL DEFAULT '[]';

-- Their contents, JSON of `protocol::attachment::Attachment`; `text_id` and `picture_id` are the artifacts that are served from it.
CREATE TABLE attachments (
    prompt_id  TEXT NOT NULL,
    position   INTEGER NOT NULL,
    text_id    TEXT,
    picture_id TEXT,
    content    TEXT NOT NULL,
    PRIMARY KEY (prompt_id, position)
) STRICT;
CREATE INDEX attachments_by_text ON attachments (text_id) WHERE text_id IS NOT NULL;
CREATE INDEX attachments_by_picture ON attachments (picture_id) WHERE picture_id IS NOT NULL;
