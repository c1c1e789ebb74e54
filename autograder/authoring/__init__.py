"""From a lab's source to what students get: build, execute, leak checks, copies to hand out."""
