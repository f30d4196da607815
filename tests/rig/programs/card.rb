# Pastes $BLOCK, the lines of a card for Rails, where a Rails application has its configuration, and sends with that.
require "action_mailer"

Configuration = Struct.new(:action_mailer)
Mailer = Struct.new(:delivery_method, :smtp_settings)
config = Configuration.new(Mailer.new)
eval(ENV["BLOCK"], binding, "production.rb")
ActionMailer::Base.delivery_method = config.action_mailer.delivery_method
ActionMailer::Base.smtp_settings = config.action_mailer.smtp_settings
ActionMailer::Base.raise_delivery_errors = true

class Reminder < ActionMailer::Base
  def remind(sender, recipient)
    mail(from: sender, to: recipient, subject: "Reminder", body: "Tomorrow at nine.")
  end
end

begin
  Reminder.remind(ENV["MAIL_FROM"], ENV["MAIL_TO"]).deliver_now
rescue StandardError => error
  puts "#{error.class}: #{error.message}"
  exit 1
end
